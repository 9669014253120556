// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"bufio"
	"bytes"
	"io"
	"path"
	"strings"
	"unicode/utf8"
)

// keepKind says which part of a file body a scan keeps.
type keepKind int

const (
	keepNothing keepKind = iota
	keepHead             // first bytes of an executable: how the kernel would start it
	keepHeader           // up to the first blank line: python metadata
	keepAll
	keepLibraries // of a RECORD: the names of shared libraries
	keepKey       // nothing but the fact that it is a private key
	keepZip       // the metadata in a zip archive
	keepSite      // of Python's site.py: whether it is Debian's
)

// keepOf decides by name and mode alone, because the body has not been read yet.
func keepOf(e *Entry) keepKind {
	dir, base := path.Split(e.Path)
	switch {
	case e.Type != File:
		return keepNothing
	case base == "METADATA" || base == "PKG-INFO" || strings.HasSuffix(base, ".egg-info") || strings.HasSuffix(base, ".dist-info"):
		return keepHeader
	case base == "RECORD" && strings.HasSuffix(dir, ".dist-info/"):
		return keepLibraries
	case keepWhole(dir, base):
		return keepAll
	case isArchive(base):
		return keepZip
	case base == "site.py" && strings.HasPrefix(path.Base(dir), "python"):
		return keepSite
	case (strings.HasSuffix(base, ".pem") || strings.HasSuffix(base, ".key")) && e.Size <= pemMax:
		return keepKey
	case e.Mode&0o111 != 0:
		return keepHead
	}
	return keepNothing
}

func keepWhole(dir, base string) bool {
	switch base {
	case "requires.txt", "WHEEL", "INSTALLER", "direct_url.json", "pyvenv.cfg":
		return true
	case "passwd", "group":
		return dir == "etc/"
	case "os-release":
		return dir == "etc/" || dir == "usr/lib/"
	case "status":
		return dir == "var/lib/dpkg/"
	case "version.py":
		return strings.HasSuffix(dir, "-packages/torch/")
	case "patchlevel.h":
		return strings.Contains(dir, "include/python")
	}
	switch path.Ext(base) {
	case ".egg-link", ".pth":
		return true
	case ".list":
		return dir == "var/lib/dpkg/info/"
	case ".json":
		return strings.HasPrefix(base, "python-") && strings.HasSuffix(dir, "conda-meta/")
	}
	return dir == "var/lib/dpkg/status.d/"
}

// keepBody reads what is to be kept of e from r, which gives the whole body.
func keepBody(e *Entry, r io.Reader, budget *Budget) error {
	switch keepOf(e) {
	case keepHead:
		head, err := io.ReadAll(io.LimitReader(r, headMax))
		e.Body = startOf(head)
		return err
	case keepHeader:
		return keepText(e, r, headerMax, true)
	case keepAll:
		return keepText(e, r, bodyMax, false)
	case keepLibraries:
		return keepLibraryNames(e, r)
	case keepZip:
		return keepArchive(e, r, budget)
	case keepSite:
		text, err := io.ReadAll(io.LimitReader(r, siteMax))
		if bytes.Contains(text, []byte(`"dist-packages"`)) {
			e.Flag |= DistPackages
		}
		return err
	case keepKey:
		body, err := io.ReadAll(io.LimitReader(r, pemMax))
		if bytes.Contains(body, []byte("PRIVATE KEY-----")) {
			e.Flag |= PrivateKey
		}
		return err
	}
	return nil
}

// startOf cuts the first bytes of an executable down to what decides how it is started.
func startOf(head []byte) []byte {
	switch {
	case bytes.HasPrefix(head, []byte("#!")):
		if i := bytes.IndexByte(head, '\n'); i >= 0 {
			head = head[:i+1]
		}
	case bytes.HasPrefix(head, []byte("\x7fELF")):
		head = head[:min(len(head), 20)]
	default:
		head = head[:min(len(head), 4)]
	}
	return bytes.Clone(head)
}

func keepText(e *Entry, r io.Reader, limit int64, headerOnly bool) error {
	body, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return err
	}
	e.Flag |= HasBody
	if !utf8.Valid(body) {
		e.Flag |= NotUTF8
	}
	if headerOnly {
		body = header(body)
	}
	if int64(len(body)) > limit {
		e.Flag |= TooLong
		body = body[:limit]
	}
	e.Body = bytes.Clone(body)
	return nil
}

// keepLibraryNames keeps of a RECORD the paths of shared libraries, one per line: which distribution says that it owns them.
func keepLibraryNames(e *Entry, r io.Reader) error {
	e.Flag |= HasBody
	var names []byte
	lines := bufio.NewReader(io.LimitReader(r, recordMax))
	for {
		line, err := lines.ReadSlice('\n')
		name, _, _ := bytes.Cut(line, []byte(","))
		if base := name[bytes.LastIndexByte(name, '/')+1:]; bytes.HasSuffix(base, []byte(".so")) || bytes.Contains(base, []byte(".so.")) {
			names = append(append(names, name...), '\n')
		}
		switch {
		case err == io.EOF:
			e.Body = bytes.Clone(names)
			return nil
		case err != nil && err != bufio.ErrBufferFull:
			return err
		}
	}
}

// header gives everything before the first blank line, line end included.
func header(body []byte) []byte {
	for at := 0; at < len(body); {
		end := bytes.IndexByte(body[at:], '\n')
		if end < 0 {
			return body
		}
		if line := bytes.TrimRight(body[at:at+end], "\r"); len(line) == 0 {
			return body[:at]
		}
		at += end + 1
	}
	return body
}
