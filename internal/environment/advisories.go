// SPDX-License-Identifier: Apache-2.0

package environment

import (
	"log/slog"
	"os"
	"sync"

	"firn.dev/firn/internal/imagecheck"
)

// Advisories is the operator's database of advisories. A file that was replaced is read at the next check, without a restart. It is
// safe for concurrent use.
type Advisories struct {
	path string
	log  *slog.Logger

	mu  sync.Mutex
	now *advisoryFile
}

// advisoryFile is one state of the file. It is closed by the last of those who use it.
type advisoryFile struct {
	db    *imagecheck.Advisories
	file  os.FileInfo
	users int // checks, and one more while it is the newest
}

// OpenAdvisories opens a file of `firn db import`.
//
// Errors: those of imagecheck.OpenAdvisories.
func OpenAdvisories(path string, log *slog.Logger) (*Advisories, error) {
	a := &Advisories{path: path, log: log}
	f, err := a.open()
	a.now = f
	return a, err
}

func (a *Advisories) open() (*advisoryFile, error) {
	// Before the content: what replaces it meanwhile is then seen next time.
	file, _ := os.Stat(a.path)
	db, err := imagecheck.OpenAdvisories(a.path)
	if err != nil {
		return nil, err
	}
	info := db.Info()
	a.log.Info("advisories are read", "file", a.path, "built", info.Built, "records", info.Records, "sha256", info.SHA256)
	return &advisoryFile{db: db, file: file, users: 1}, nil
}

// take gives the newest state of the file that can be read, and what ends its use.
func (a *Advisories) take() (*imagecheck.Advisories, func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if file, err := os.Stat(a.path); err != nil || changed(a.now.file, file) {
		f, err := a.open()
		if err != nil {
			a.log.Error("the advisories cannot be read, those read before are used", "file", a.path, "err", err)
		} else {
			a.drop(a.now)
			a.now = f
		}
	}
	f := a.now
	f.users++
	return f.db, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.drop(f)
	}
}

func changed(before, now os.FileInfo) bool {
	return before == nil || !os.SameFile(before, now) || before.Size() != now.Size() || !before.ModTime().Equal(now.ModTime())
}

// drop ends one use.
func (a *Advisories) drop(f *advisoryFile) {
	if f.users--; f.users > 0 {
		return
	}
	if err := f.db.Close(); err != nil {
		a.log.Warn("close the advisories", "file", a.path, "err", err)
	}
}

// Close ends the use by the server; checks that still run keep theirs.
func (a *Advisories) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.drop(a.now)
	return nil
}
