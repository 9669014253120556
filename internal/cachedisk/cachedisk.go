// SPDX-License-Identifier: Apache-2.0

// Package cachedisk is a disk with a volatile cache, as disks have it: what is written is in the cache, a flush puts what was written
// before it on the medium, and when the power goes any part of the rest is lost. It is a FUSE file over an image, for a loop device,
// which passes flushes on, and runs as a program of its own. It is for tests that cut the power, and for measuring on a disk whose
// flushes take as long as they do elsewhere; programs of Firn do not import it. Its kernel interface is that of
// include/uapi/linux/fuse.h.
package cachedisk

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// sector is the unit of addresses.
const sector = 512

// cacheDisk is the state of the disk.
type cacheDisk struct {
	medium *os.File
	size   int64
	random *rand.Rand // of the delays

	patience time.Duration // what each flush takes; 0 for some time below a millisecond

	mu     sync.Mutex
	writes uint64                   // how many there were
	cached []cachedWrite            // oldest first
	newest map[int64]*sectorInCache // by the number of the sector
	state  diskState
	change sync.Cond // of state
	armed  int       // after how many writes it freezes, when that is not 0
}

type cachedWrite struct {
	number  uint64
	offset  int64
	content []byte
}

type sectorInCache struct {
	number  uint64 // of the write that it is of
	content []byte
}

// diskState is what becomes of requests.
type diskState int

const (
	on     diskState = iota
	frozen           // no request is answered any more: whoever waits for one waits
	off              // each request fails
)

// Main serves the disk until it is ended: IMAGE FILE SEED KEEP WHOLE [FLUSH], where FILE is to become the disk, KEEP is how many of a
// hundred writes that are in the cache survive, WHOLE how many bytes the disk writes as a whole or not at all, and FLUSH how long a flush
// takes, up to a millisecond when it is left out. Each line of the standard input is an order: freeze; fail; end, which says what
// survived.
func Main(arguments []string) {
	if err := run(arguments); err != nil {
		fmt.Fprintln(os.Stderr, "cachedisk:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) < 5 {
		return errors.New("usage: IMAGE FILE SEED KEEP WHOLE [FLUSH]")
	}
	seed, err := strconv.ParseUint(arguments[2], 10, 64)
	if err != nil {
		return err
	}
	keep, err := strconv.Atoi(arguments[3])
	if err != nil {
		return err
	}
	whole, err := strconv.Atoi(arguments[4])
	if err != nil {
		return err
	}
	d, err := openDisk(arguments[0], seed)
	if err != nil {
		return err
	}
	if len(arguments) > 5 {
		if d.patience, err = time.ParseDuration(arguments[5]); err != nil {
			return err
		}
	}
	if err := d.serve(arguments[1]); err != nil {
		return err
	}
	fmt.Println("ready")
	for orders := bufio.NewScanner(os.Stdin); orders.Scan(); {
		switch orders.Text() {
		case "freeze":
			d.freeze()
		case "fail":
			d.become(off)
		case "end":
			text, err := d.lose(rand.New(rand.NewPCG(seed, 2)), keep, whole) //nolint:gosec // no secret
			fmt.Println(text)
			return errors.Join(err, d.medium.Close())
		}
		fmt.Println("done")
	}
	return errors.New("nobody gives orders any more")
}

func openDisk(image string, seed uint64) (*cacheDisk, error) {
	medium, err := os.OpenFile(image, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	info, err := medium.Stat()
	if err != nil {
		return nil, err
	}
	d := &cacheDisk{medium: medium, size: info.Size(), random: rand.New(rand.NewPCG(seed, 1)), newest: map[int64]*sectorInCache{}} //nolint:gosec // no secret
	d.change.L = &d.mu
	return d, nil
}

// become changes the state. When it returns, no request is answered as before.
func (d *cacheDisk) become(state diskState) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.state = state
	d.change.Broadcast()
}

// freeze freezes the disk between two of the next writes, or after a moment in which there are none: most of the time the cache would be
// empty, as whoever writes flushes, too.
func (d *cacheDisk) freeze() {
	d.mu.Lock()
	d.armed = 1 + d.random.IntN(12)
	d.mu.Unlock()
	for end := time.Now().Add(50 * time.Millisecond); time.Now().Before(end); time.Sleep(100 * time.Microsecond) {
		d.mu.Lock()
		is := d.state == frozen
		d.mu.Unlock()
		if is {
			return
		}
	}
	d.become(frozen)
}

// powered waits while the disk is frozen and tells whether it is on. The caller has the lock.
func (d *cacheDisk) powered() bool {
	for d.state == frozen {
		d.change.Wait()
	}
	return d.state == on
}

func (d *cacheDisk) write(offset int64, content []byte) syscall.Errno {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.powered() {
		return syscall.EIO
	}
	if offset%sector != 0 || len(content)%sector != 0 || offset+int64(len(content)) > d.size {
		return syscall.EINVAL
	}
	d.writes++
	content = slices.Clone(content)
	d.cached = append(d.cached, cachedWrite{d.writes, offset, content})
	for at := 0; at < len(content); at += sector {
		d.newest[(offset+int64(at))/sector] = &sectorInCache{d.writes, content[at : at+sector]}
	}
	if d.armed > 0 {
		if d.armed--; d.armed == 0 {
			d.state = frozen
		}
	}
	return 0
}

func (d *cacheDisk) read(offset int64, into []byte) syscall.Errno {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.powered() || offset+int64(len(into)) > d.size {
		return syscall.EIO
	}
	if _, err := d.medium.ReadAt(into, offset); err != nil {
		return syscall.EIO
	}
	for at := 0; at < len(into); at += sector {
		if s := d.newest[(offset+int64(at))/sector]; s != nil {
			copy(into[at:], s.content)
		}
	}
	return 0
}

// flush puts on the medium what was written before it. It takes its time, as long as some other writes.
func (d *cacheDisk) flush() syscall.Errno {
	d.mu.Lock()
	defer d.mu.Unlock()
	last := d.writes
	delay := d.patience
	if delay == 0 {
		delay = time.Duration(d.random.IntN(1000)) * time.Microsecond
	}
	d.mu.Unlock()
	time.Sleep(delay)
	d.mu.Lock()
	if !d.powered() {
		return syscall.EIO
	}
	for len(d.cached) > 0 && d.cached[0].number <= last {
		w := d.cached[0]
		if _, err := d.medium.WriteAt(w.content, w.offset); err != nil {
			return syscall.EIO
		}
		for at := w.offset / sector; at < (w.offset+int64(len(w.content)))/sector; at++ {
			if s := d.newest[at]; s != nil && s.number == w.number {
				delete(d.newest, at)
			}
		}
		d.cached = d.cached[1:]
	}
	return 0
}

// lose puts on the medium what survives of the cache: each write or not, or each part of it that cannot be torn by itself. It says how many
// sectors there were in the cache and how many of them survived.
func (d *cacheDisk) lose(random *rand.Rand, keep, whole int) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	cached, kept := 0, 0
	for _, w := range d.cached {
		torn := random.IntN(2) == 0
		for offset, rest := w.offset, w.content; len(rest) > 0; {
			n := len(rest)
			if torn {
				n = min(whole-int(offset%int64(whole)), n)
			}
			cached += n / sector
			if random.IntN(100) < keep {
				kept += n / sector
				if _, err := d.medium.WriteAt(rest[:n], offset); err != nil {
					return "", err
				}
			}
			offset, rest = offset+int64(n), rest[n:]
		}
	}
	return fmt.Sprintf("%d %d", cached, kept), nil
}

// What a request of FUSE asks for, and the lengths of the fixed parts of messages.
const (
	fuseForget, fuseGetattr, fuseSetattr, fuseOpen, fuseRead, fuseWrite, fuseStatfs          = 2, 3, 4, 14, 15, 16, 17
	fuseRelease, fuseFsync, fuseFlush, fuseInit, fuseInterrupt, fuseDestroy, fuseBatchForget = 18, 20, 25, 26, 36, 38, 42

	fuseIn, fuseOut, fuseWriteIn = 40, 16, 40
	largestWrite                 = 1 << 20
)

// serve mounts the disk over a file and answers requests in goroutines of its own.
func (d *cacheDisk) serve(file string) error {
	fd, err := syscall.Open("/dev/fuse", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("/dev/fuse: %w", err)
	}
	options := fmt.Sprintf("fd=%d,rootmode=100600,user_id=0,group_id=0,max_read=%d", fd, largestWrite)
	if err := syscall.Mount("cachedisk", file, "fuse.cachedisk", syscall.MS_NOSUID|syscall.MS_NODEV, options); err != nil {
		return fmt.Errorf("mount over %s: %w", file, err)
	}
	for range 8 {
		go func() {
			for message := make([]byte, largestWrite+8192); ; {
				n, err := syscall.Read(fd, message)
				switch {
				case err == nil:
					if answer := d.answer(message[:n]); answer != nil {
						_, _ = syscall.Write(fd, answer) // the request may be gone
					}
				case !errors.Is(err, syscall.EINTR) && !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.EAGAIN):
					return // unmounted
				}
			}
		}()
	}
	return nil
}

// answer gives the answer to a request, or nil where there is none.
func (d *cacheDisk) answer(m []byte) []byte {
	put, word, long := binary.NativeEndian, binary.NativeEndian.Uint32, binary.NativeEndian.Uint64
	body := m[fuseIn:]
	var answer []byte
	var failed syscall.Errno
	switch word(m[4:]) {
	case fuseForget, fuseBatchForget, fuseInterrupt:
		return nil
	case fuseInit:
		const asyncRead, bigWrites, maxPages = 1 << 0, 1 << 5, 1 << 22
		answer = make([]byte, 64)
		put.PutUint32(answer[0:], 7)
		put.PutUint32(answer[4:], 31)
		put.PutUint32(answer[12:], asyncRead|bigWrites|maxPages)
		put.PutUint32(answer[20:], largestWrite)
		put.PutUint32(answer[24:], 1)
		put.PutUint16(answer[28:], largestWrite/4096)
	case fuseGetattr, fuseSetattr:
		answer = make([]byte, 104)
		put.PutUint64(answer[0:], 3600)
		put.PutUint64(answer[16:], 1)
		put.PutUint64(answer[24:], uint64(d.size))
		put.PutUint64(answer[32:], uint64(d.size/sector))
		put.PutUint32(answer[76:], syscall.S_IFREG|0o600)
		put.PutUint32(answer[80:], 1)
		put.PutUint32(answer[96:], 4096)
	case fuseOpen:
		answer = make([]byte, 16)
		put.PutUint32(answer[8:], 1) // FOPEN_DIRECT_IO: the kernel keeps nothing of it
	case fuseRead:
		answer = make([]byte, word(body[16:]))
		failed = d.read(int64(long(body[8:])), answer) //nolint:gosec // it is below size
	case fuseWrite:
		failed = d.write(int64(long(body[8:])), body[fuseWriteIn:]) //nolint:gosec // it is below size
		answer = make([]byte, 8)
		put.PutUint32(answer, word(body[16:]))
	case fuseFsync:
		failed = d.flush()
	case fuseStatfs:
		answer = make([]byte, 80)
	case fuseFlush, fuseRelease, fuseDestroy:
	default:
		failed = syscall.ENOSYS
	}
	if failed != 0 {
		answer = nil
	}
	out := make([]byte, fuseOut, fuseOut+len(answer))
	put.PutUint32(out[0:], uint32(fuseOut+len(answer))) //nolint:gosec // at most a megabyte
	put.PutUint32(out[4:], uint32(-int32(failed)))      //nolint:gosec // a small negative number
	copy(out[8:], m[8:16])
	return append(out, answer...)
}
