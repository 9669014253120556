// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// A quota bounds the distinct content of a repository, or of all repositories of a database. What is there and what open
// uploads have reserved never exceeds it: content comes to a repository in a transaction that has looked at both. An upload
// reserves what its requests announce before it takes a byte, or, when they announce nothing, a step at a time. Only when it is
// whole does it turn out to be content that is there already and costs nothing.

// reserveStep is the most that an upload of unknown length reserves beyond what it has.
const reserveStep = 64 << 20

// ahead tells how much an upload of unknown length reserves beyond what it has: as much again, but little of what is free, so that
// uploads beside it find room.
func ahead(total, free int64) int64 {
	return min(max(total, 1<<20), reserveStep, (free-total)/8)
}

// quota is one bound that a push counts against.
type quota struct {
	bytes int64
	in    []catalog.ID // repositories that share it
	of    string       // "image repository DB.S.REPO"
	raise string       // the statement that raises it
}

// quotasOf gives the quotas of a repository: its own and that of its database.
func quotasOf(tx catalog.Tx, at *place) ([]quota, error) {
	var all []quota
	repository := at.repository
	if bytes := rulesOf(repository).Quota; bytes > 0 {
		all = append(all, quota{bytes, []catalog.ID{repository.ID}, "image repository " + repository.Name.String(),
			"ALTER IMAGE REPOSITORY " + repository.Name.String() + " SET STORAGE_QUOTA = ..."})
	}
	name, most := at.database.Name, at.shared().ImageQuota
	if most == 0 {
		return all, nil
	}
	shared := quota{most, nil, "database " + name.String(), "ALTER DATABASE " + name.String() + " SET IMAGE_STORAGE_QUOTA = ..."}
	for o, err := range tx.Objects(catalog.KindImageRepository, name) {
		if err != nil {
			return nil, err
		}
		shared.in = append(shared.in, o.ID)
	}
	return append(all, shared), nil
}

// room gives the bytes that content with a digest ("" when that is not known) may have, at least the size that is asked for. What the upload
// has reserved itself does not stand in its way.
//
// Errors: Exhausted, answered as DENIED, with the numbers.
func room(tx catalog.Tx, at *place, digest string, upload catalog.ID, size int64) (int64, error) {
	quotas, err := quotasOf(tx, at)
	if err != nil {
		return 0, err
	}
	least := int64(math.MaxInt64)
	for _, q := range quotas {
		if digest != "" {
			if there, err := tx.HoldsBlob(q.in, digest); err != nil {
				return 0, err
			} else if there {
				continue
			}
		}
		used, err := tx.StorageUsed(q.in)
		if err != nil {
			return 0, err
		}
		reserved, err := tx.StorageReserved(q.in, upload)
		if err != nil {
			return 0, err
		}
		free := q.bytes - used - reserved
		if free < size || free <= 0 && size > 0 {
			return 0, q.exceeded(used, reserved, size)
		}
		least = min(least, free)
	}
	return least, nil
}

// errOverQuota is the cause of refusals by a quota.
var errOverQuota = errors.New("over quota")

// exceeded is the refusal of content that does not fit.
func (q quota) exceeded(used, reserved, size int64) error {
	uploads := ""
	if reserved > 0 {
		uploads = fmt.Sprintf(" and open uploads have reserved %d", reserved)
	}
	return statused(denied, http.StatusForbidden, errs.Wrap(errOverQuota, errs.Exhausted, "storage quota of %s exceeded: its %d bytes hold %d bytes%s, the push needs %d more: "+
		"delete images, whose layers count until they are collected as garbage, or ask the owner for %s", q.of, q.bytes, used, uploads, size, q.raise))
}

// fits refuses content that the quotas of a repository have no room for.
func fits(tx catalog.Tx, at *place, digest string, upload catalog.ID, size int64) error {
	_, err := room(tx, at, digest, upload, size)
	return err
}

// ask refuses content at the start of a push that the quotas of its repository have no room for.
func (g *Registry) ask(ctx context.Context, at *place, digest string, size int64) error {
	if !at.limited() {
		return nil
	}
	return g.Catalog.View(ctx, func(tx catalog.Tx) error { return fits(tx, at, digest, "", size) })
}

// reserve reserves room for an upload that will have so many bytes, or more when that is not known, and gives for how many it did.
func (g *Registry) reserve(ctx context.Context, u *upload, total int64, known bool) (int64, error) {
	row := *u.Upload
	row.Writer = g.Writer
	err := g.Catalog.Update(ctx, func(tx catalog.Tx) error {
		at, err := u.in.now(tx)
		if err != nil {
			return err
		}
		free, err := room(tx, at, "", u.ID, total)
		if err != nil {
			return err
		}
		if row.Reserved = total; !known {
			row.Reserved += ahead(total, free)
		}
		return g.putProgress(tx, &row, u.stored, u.Offset)
	})
	if err != nil {
		return 0, err
	}
	u.stored, u.claimed, u.Writer, u.Reserved, u.Expires = true, true, row.Writer, row.Reserved, row.Expires
	return u.Reserved, nil
}

// meter lets through what an upload has room for, and reserves more when that is used up.
type meter struct {
	source  io.Reader
	reserve func(total int64) (int64, error)
	total   int64 // bytes of the upload so far
	room    int64
}

// Read implements io.Reader.
func (m *meter) Read(p []byte) (int, error) {
	n, err := m.source.Read(p)
	if total := m.total + int64(n); total > m.room {
		room, refused := m.reserve(total)
		if refused != nil {
			return 0, refused
		}
		m.room = room
	}
	m.total += int64(n)
	return n, err
}

// metered gives content that is appended to an upload so that it ends with a refusal where a quota is hit. A length that is announced is
// reserved at once; -1 is none. Small content is not worth a reservation: the transaction that takes it looks at the quotas.
func (g *Registry) metered(ctx context.Context, u *upload, content io.Reader, length int64) (io.Reader, error) {
	if !u.in.limited() || length >= 0 && u.Offset+length <= smallBlob {
		return content, nil
	}
	m := &meter{source: content, total: u.Offset, room: u.Reserved}
	m.reserve = func(total int64) (int64, error) { return g.reserve(ctx, u, total, length >= 0) }
	if announced := u.Offset + max(length, 1); announced > m.room {
		room, err := m.reserve(announced)
		if err != nil {
			return nil, err
		}
		m.room = room
	}
	return m, nil
}
