// SPDX-License-Identifier: Apache-2.0

package sfwire

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/sql/executor"
)

// A large result is answered in pieces: the first in the answer itself, the others at addresses that clients fetch from several
// threads. Pieces are made of the stored result, so every replica can serve them; the shelf only saves making them twice.
const (
	firstRows, firstBytes = 10_000, 1 << 20 // of the piece in the answer
	pieceRows, pieceBytes = 50_000, 8 << 20
	mostKept              = 128 << 20     // compressed bytes on the shelf
	pieceTTL              = 6 * time.Hour // of the addresses
)

// span is the rows [begin, end).
type span struct{ begin, end int }

// split divides rows into the pieces they travel in. The first may be empty; there is always a first.
func split(rows [][]*string) []span {
	var out []span
	mostRows, mostBytes := firstRows, firstBytes
	begin, size := 0, 0
	for i, row := range rows {
		bytes := 0
		for _, cell := range row {
			if bytes += 3; cell != nil {
				bytes += len(*cell)
			}
		}
		if i > begin && (i-begin >= mostRows || size+bytes > mostBytes) {
			out = append(out, span{begin, i})
			begin, size, mostRows, mostBytes = i, 0, pieceRows, pieceBytes
		}
		size += bytes
	}
	return append(out, span{begin, len(rows)})
}

// piece is one piece of a result, encoded and compressed.
type piece struct {
	packed []byte
	rows   int
	size   int // before compression
}

// pieces encodes all of a result but the first rows.
func pieces(res *executor.Result, f format) ([]piece, error) {
	var out []piece
	var columns []arrowColumn
	if f == formatArrow {
		columns = arrowColumns(res.Rowset)
	}
	for _, at := range split(res.Rowset.Rows)[1:] {
		rows := res.Rowset.Rows[at.begin:at.end]
		var body []byte
		var err error
		if f == formatArrow {
			body, err = arrowStream(columns, rows)
		} else if body, err = json.Marshal(rows); err == nil {
			body = body[1 : len(body)-1] // clients put the outer brackets around all pieces
		}
		if err != nil {
			return nil, err
		}
		var packed bytes.Buffer
		zw, _ := gzip.NewWriterLevel(&packed, gzip.BestSpeed) // a known level is never an error, nor is writing to memory
		_, _ = zw.Write(body)
		_ = zw.Close()
		out = append(out, piece{packed.Bytes(), len(rows), len(body)})
	}
	return out, nil
}

// chunk tells a client of a piece.
type chunk struct {
	URL              string `json:"url"`
	RowCount         int    `json:"rowCount"`
	UncompressedSize int    `json:"uncompressedSize"`
	CompressedSize   int    `json:"compressedSize"`
}

// chunks puts the pieces of a result on the shelf and gives their addresses.
func (d *Door) chunks(r *http.Request, res *executor.Result, f format) ([]chunk, error) {
	found, err := d.kept.get(res.QueryID+" "+string(f), func() ([]piece, error) { return pieces(res, f) })
	if err != nil {
		return nil, err
	}
	token, err := d.Auth.Sign(r.Context(), rowsClaim(res.QueryID), pieceTTL)
	if err != nil {
		return nil, err
	}
	out := make([]chunk, len(found))
	for i, p := range found {
		u := url.URL{Path: "/queries/" + res.QueryID + "/" + string(f) + "/pieces/" + strconv.Itoa(i), RawQuery: url.Values{tokenKey: {token.Reveal()}}.Encode()}
		out[i] = chunk{origin(r) + u.String(), p.rows, p.size, len(p.packed)}
	}
	return out, nil
}

// rowsClaim is what the token of a result's pieces says.
func rowsClaim(query string) string { return "ROWS = " + query }

// piece serves one piece. It answers with HTTP statuses, as an object store does.
func (d *Door) piece(w http.ResponseWriter, r *http.Request) {
	id, f := r.PathValue("id"), format(r.PathValue("format"))
	claim, err := d.Auth.Verify(r.Context(), errs.Secret(r.URL.Query().Get(tokenKey)))
	if err != nil || claim != rowsClaim(id) || f != formatArrow && f != formatJSON {
		http.Error(w, "this link does not open these rows, or has expired", http.StatusUnauthorized)
		return
	}
	found, err := d.kept.get(id+" "+string(f), func() ([]piece, error) {
		res, err := d.Executor.Kept(r.Context(), id)
		if err != nil {
			return nil, err
		}
		return pieces(res, f)
	})
	n, bad := strconv.Atoi(r.PathValue("n"))
	switch {
	case errs.Is(err, errs.NotFound) || err == nil && (bad != nil || n < 0 || n >= len(found)):
		http.Error(w, "these rows are not kept any more", http.StatusNotFound)
	case err != nil:
		d.Log.Error("piece of a result", "statement", id, "err", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
	default:
		serve(w, r, found[n])
	}
}

func serve(w http.ResponseWriter, r *http.Request, p piece) {
	w.Header().Set("Content-Type", "application/octet-stream")
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Content-Length", strconv.Itoa(len(p.packed)))
		_, _ = w.Write(p.packed) // a client that has gone away is nobody to tell
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(p.size))
	if zr, err := gzip.NewReader(bytes.NewReader(p.packed)); err == nil {
		_, _ = io.Copy(w, zr)
	}
}

// shelf keeps the pieces of the results that were asked for last, up to a number of bytes; the newest always. It is safe for
// concurrent use.
type shelf struct {
	most int

	mu    sync.Mutex
	all   map[string]*onShelf
	size  int
	clock int // counts uses
}

type onShelf struct {
	once   sync.Once
	pieces []piece
	err    error
	size   int
	used   int
}

func newShelf(most int) *shelf { return &shelf{most: most, all: map[string]*onShelf{}} }

// get gives the pieces of a key, made by build when they are not there. Those who ask at the same time wait for one build.
func (s *shelf) get(key string, build func() ([]piece, error)) ([]piece, error) {
	s.mu.Lock()
	s.clock++
	e := s.all[key]
	if e == nil {
		e = &onShelf{}
		s.all[key] = e
	}
	e.used = s.clock
	s.mu.Unlock()
	e.once.Do(func() {
		e.pieces, e.err = build()
		s.put(key, e)
	})
	return e.pieces, e.err
}

// put counts an entry that was just built, and takes away what was not used for longest.
func (s *shelf) put(key string, e *onShelf) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.err != nil {
		delete(s.all, key)
		return
	}
	for _, p := range e.pieces {
		e.size += len(p.packed)
	}
	s.size += e.size
	for s.size > s.most {
		oldest := ""
		for k, have := range s.all {
			if have != e && have.size > 0 && (oldest == "" || have.used < s.all[oldest].used) {
				oldest = k
			}
		}
		if oldest == "" {
			return
		}
		s.size -= s.all[oldest].size
		delete(s.all, oldest)
	}
}
