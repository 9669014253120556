// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// bareRegistry is the limit that a durable registry of files is held against: net/http and, for each blob, a file without a name
// (O_TMPFILE), SHA-256, fsync, a link to its name, fsync of the directory. It asks nobody who they are, checks no name, keeps no
// record, and forgets uploads when it ends.
type bareRegistry struct {
	dir     string
	handle  *os.File // of dir, for fsync
	ids     atomic.Int64
	open    sync.Map // id -> *bareUpload
	buffers sync.Pool
}

// bareRegistryCommand is the argument with which this program serves as the bare registry.
const bareRegistryCommand = "bare-registry"

// bareUpload is a file without a name and the hash of what it has.
type bareUpload struct {
	file *os.File
	hash hash.Hash
}

// serveBareRegistry serves a directory on a free port, in a process of its own, as the others do. It prints its address.
func serveBareRegistry(dir string) error {
	handle, err := os.Open(dir)
	if err != nil {
		return err
	}
	s := &bareRegistry{dir: dir, handle: handle, buffers: sync.Pool{New: func() any { return new([128 << 10]byte) }}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("listen=%s \n", l.Addr())
	srv := &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	return srv.Serve(l)
}

// What linkat(2) and open(2) call these.
const (
	atFDCWD         = -100
	atSymlinkFollow = 0x400
	oTmpfile        = 0x410000
)

// link gives a file without a name one.
func link(f *os.File, name string) error {
	from, err := syscall.BytePtrFromString("/proc/self/fd/" + strconv.Itoa(int(f.Fd())))
	if err != nil {
		return err
	}
	to, err := syscall.BytePtrFromString(name)
	if err != nil {
		return err
	}
	here := atFDCWD
	_, _, errno := syscall.Syscall6(syscall.SYS_LINKAT, uintptr(here), uintptr(unsafe.Pointer(from)), uintptr(here), uintptr(unsafe.Pointer(to)), atSymlinkFollow, 0)
	if errno != 0 {
		return &os.LinkError{Op: "linkat", Old: f.Name(), New: name, Err: errno}
	}
	return nil
}

// ServeHTTP implements http.Handler.
func (s *bareRegistry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	err := s.serve(w, r)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		http.Error(w, err.Error(), http.StatusNotFound)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

func (s *bareRegistry) serve(w http.ResponseWriter, r *http.Request) error {
	last := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	manifest := strings.Contains(r.URL.Path, "/manifests/")
	switch {
	case r.Method == http.MethodPost:
		return s.begin(w)
	case r.Method == http.MethodPut && manifest:
		u, err := s.upload()
		if err != nil {
			return err
		}
		return s.finish(w, r, u, last)
	case r.Method == http.MethodPatch, r.Method == http.MethodPut:
		u, ok := s.open.Load(last)
		if !ok {
			return fs.ErrNotExist
		}
		if r.Method == http.MethodPut {
			s.open.Delete(last)
			return s.finish(w, r, u.(*bareUpload), strings.TrimPrefix(r.URL.Query().Get("digest"), "sha256:"))
		}
		w.Header().Set("Location", r.URL.Path)
		err := s.receive(u.(*bareUpload), r.Body)
		if err == nil {
			w.WriteHeader(http.StatusAccepted)
		}
		return err
	case manifest:
		return s.manifest(w, last)
	}
	f, err := os.Open(filepath.Join(s.dir, strings.TrimPrefix(last, "sha256:")))
	if err != nil {
		return err
	}
	defer f.Close()
	http.ServeContent(w, r, "", time.Time{}, f)
	return nil
}

// manifest answers HEAD of a manifest: its file has the name of its tag.
func (s *bareRegistry) manifest(w http.ResponseWriter, tag string) error {
	body, err := os.ReadFile(filepath.Join(s.dir, tag))
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Header().Set("Docker-Content-Digest", "sha256:"+hex.EncodeToString(sum[:]))
	return nil
}

func (s *bareRegistry) begin(w http.ResponseWriter) error {
	u, err := s.upload()
	if err != nil {
		return err
	}
	id := strconv.FormatInt(s.ids.Add(1), 10)
	s.open.Store(id, u)
	w.Header().Set("Location", "/uploads/"+id)
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func (s *bareRegistry) upload() (*bareUpload, error) {
	f, err := os.OpenFile(s.dir, oTmpfile|os.O_WRONLY, 0o600)
	return &bareUpload{file: f, hash: sha256.New()}, err
}

func (s *bareRegistry) receive(u *bareUpload, r io.Reader) error {
	buffer := s.buffers.Get().(*[128 << 10]byte)
	defer s.buffers.Put(buffer)
	_, err := io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(u.file, u.hash)}, r, buffer[:])
	return err
}

// finish receives the rest and makes it durable under a name.
func (s *bareRegistry) finish(w http.ResponseWriter, r *http.Request, u *bareUpload, name string) error {
	defer u.file.Close()
	if err := s.receive(u, r.Body); err != nil {
		return err
	}
	if got := hex.EncodeToString(u.hash.Sum(nil)); len(name) == len(got) && got != name {
		return fmt.Errorf("the content has digest %s, not %s", got, name)
	}
	if err := u.file.Sync(); err != nil {
		return err
	}
	if err := link(u.file, filepath.Join(s.dir, name)); err != nil {
		return err
	}
	if err := s.handle.Sync(); err != nil {
		return err
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}
