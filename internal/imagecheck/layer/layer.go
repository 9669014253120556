// SPDX-License-Identifier: Apache-2.0

// Package layer turns the layers of a container image into one file system that can be asked questions: Read scans one
// layer once, Merge stacks scans with whiteouts and opaque directories, Tree resolves paths the way a kernel rooted in the
// image would. A scan keeps every path but only the few file bodies that an image check reads; Cache stores scans by the
// layer's diffID so that a known layer is never inflated again.
//
// It knows no check, no policy and no registry. Package imagecheck calls it; its sources hand it the streams.
package layer

import (
	"path"
	"strings"
)

// Type is the kind of a file system entry.
type Type byte

// The kinds.
const (
	File     Type = 'f'
	Dir      Type = 'd'
	Symlink  Type = 'l'
	HardLink Type = 'h' // to a path of a lower layer; links within a layer are resolved by the scan
	Other    Type = 'o' // devices and pipes
)

// Flag is a fact about a body that the scan saw and did not keep.
type Flag byte

// The flags.
const (
	HasBody      Flag = 1 << iota // Body holds what the check needs of the file, which may be nothing
	NotUTF8                       // the file is no valid UTF-8
	PrivateKey                    // the file holds a PEM private key
	TooLong                       // what was to be kept exceeds the limit and was cut
	Archive                       // the file is a zip archive, or too large to be told from one: see Inside
	DistPackages                  // the file is a site.py as Debian changes it: it looks into dist-packages
)

// Setuid and Setgid are bits of Entry.Mode.
const (
	Setuid = 0o4000
	Setgid = 0o2000
)

// Entry is one path of one layer.
type Entry struct {
	Path string // cleaned, without leading slash; "" is the root
	Link string // target of a Symlink as written, of a HardLink cleaned like Path
	Body []byte // with HasBody: the kept part, else the first bytes of an executable file (its "#!" line or ELF header)
	Size int64  // bytes
	Mode uint32 // the twelve permission bits
	UID  int
	GID  int
	Type Type
	Flag Flag
}

// Has tells whether all bits of f are set.
func (e *Entry) Has(f Flag) bool { return e.Flag&f == f }

// Scan is what is known of one layer. It is immutable once made and may be shared.
type Scan struct {
	DiffID       string
	UnpackedSize int64    // bytes of the layer's tar stream, -1 when it was never seen as a tar stream
	Entries      []Entry  // in the order of the tar, the last of equal paths only
	Whiteouts    []string // paths hidden in lower layers
	Opaque       []string // directories whose lower content is hidden
}

// Limits bounds what reading a hostile image may cost, and tells what it costs. Its methods may be called concurrently.
type Limits struct {
	MaxUnpacked int64   // bytes of one layer's tar stream; 0 means 64 GiB
	Budget      *Budget // shared by all layers of an image; nil means a fresh one per layer

	Seen func(bytes int) // told of stored bytes as they are read, from several goroutines; may be nil
}

func (l Limits) orDefaults() Limits {
	if l.MaxUnpacked == 0 {
		l.MaxUnpacked = DefaultMaxUnpacked
	}
	if l.Budget == nil {
		l.Budget = NewBudget()
	}
	return l
}

// DefaultMaxUnpacked is the bound of one unpacked layer unless Limits says otherwise, bytes.
const DefaultMaxUnpacked = 64 << 30

const (
	ratioFloor  = 1 << 30  // a layer smaller than this may be compressed as well as it likes
	ratioMax    = 200      // beyond ratioFloor, unpacked bytes per stored byte
	headerMax   = 8 << 20  // kept bytes of a metadata header
	bodyMax     = 16 << 20 // kept bytes of any other file
	recordMax   = 64 << 20 // read bytes of a RECORD
	pemMax      = 64 << 10 // a key file larger than this is none
	siteMax     = 1 << 20  // a site.py has 25 KB
	headMax     = 256      // the kernel reads this much of a "#!" line
	zstdWindow  = 64 << 20 // bytes of history a zstd frame may ask for
	budgetTotal = 256 << 20
	entryCost   = 160 // bytes of memory that one Entry takes besides its strings
)

// clean gives a tar or link name as a path below the root of the image.
func clean(name string) string {
	return strings.TrimPrefix(path.Clean("/"+name), "/")
}

// Failure is the error of one layer: it carries which one. Its cause is an *errs.Error.
type Failure struct {
	DiffID string
	Err    error
}

// Error gives the message of the cause, which names the layer.
func (f *Failure) Error() string { return f.Err.Error() }

// Unwrap gives the cause.
func (f *Failure) Unwrap() error { return f.Err }
