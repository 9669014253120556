// SPDX-License-Identifier: Apache-2.0

package dir

import (
	"os"
	"syscall"
)

// syncFileRangeWrite is SYNC_FILE_RANGE_WRITE of sync_file_range(2).
const syncFileRangeWrite = 2

// startWriteBack asks the kernel to start writing a part of the file. It is a hint: the fsync at the end is what counts.
func startWriteBack(f *os.File, offset, length int64) {
	raw, err := f.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = syscall.SyncFileRange(int(fd), offset, length, syncFileRangeWrite)
	})
}
