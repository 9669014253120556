// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"encoding/binary"
	"io"
	"sync"
	"time"

	"github.com/google/uuid"

	"firn.dev/firn/internal/catalog"
)

// source is randomness that many goroutines share.
type source struct {
	mu     sync.Mutex
	reader io.Reader
}

// read fills the bytes. A machine without randomness cannot go on.
func (s *source) read(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := io.ReadFull(s.reader, b); err != nil {
		panic("no randomness: " + err.Error())
	}
}

// below gives a number from 0 to n-1, n at most 2^53. The tiny bias of the remainder does not matter to its callers.
func (s *source) below(n int64) int64 {
	var b [8]byte
	s.read(b[:])
	return int64(binary.BigEndian.Uint64(b[:]) % uint64(n))
}

// id makes a UUIDv7 (https://www.rfc-editor.org/rfc/rfc9562#section-5.7) that sorts by microsecond, then by the counter,
// and is random in its last 46 bits.
func (s *source) id(at time.Time, counter uint16) catalog.ID {
	var u uuid.UUID
	s.read(u[10:])
	micros := uint64(at.UnixMicro())
	binary.BigEndian.PutUint64(u[:8], micros/1000<<16|0x7000|micros%1000<<2)
	binary.BigEndian.PutUint16(u[8:], 0x8000|counter>>2)
	u[10] = u[10]&0x3f | byte(counter)<<6
	return catalog.ID(u.String())
}
