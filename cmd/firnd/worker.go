// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"firn.dev/firn/internal/errs"
)

const workerFile = "worker"

// workerID gives the id of this server among the replicas of an installation: chosen at the first start and kept in the data
// directory, which one process at a time uses.
//
// It names the holder of leases on jobs and the label of containers and networks. So:
//   - the server that starts again on the same data directory goes on at once with its jobs, containers and stage copies;
//   - two replicas never hold the same lease, and neither sees, ends or removes a container of the other, on engines of their own
//     or on one engine: a container is looked at only by the server whose data directory has the copies of its stage files;
//   - a replica that does not come back before its leases pass loses what it ran: another one ends those jobs as INTERNAL_ERROR,
//     because their containers and files are out of its reach, and they can be submitted again. When the lost replica comes back,
//     it removes their containers. What was waiting is run by whoever is there;
//   - whoever deletes the data directory of a replica that shares PostgreSQL removes its containers, too
//     (docker ps -a --filter label=dev.firn.install=ID).
//
// A data directory must not be copied to make a replica: copies share the id.
//
// Errors: Unavailable; Corrupt when the file holds something else.
func workerID(dir string) (string, error) {
	path := filepath.Join(dir, workerFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		id := strings.ToLower(rand.Text()[:12])
		if err := writeOnce(path, id+"\n"); err != nil {
			return "", errs.Wrap(err, errs.Unavailable, "the id of this server cannot be written to %s", path)
		}
		return id, nil
	}
	if err != nil {
		return "", errs.Wrap(err, errs.Unavailable, "the id of this server cannot be read from %s", path)
	}
	id := strings.TrimSpace(string(text))
	if len(id) != 12 || strings.Trim(id, "abcdefghijklmnopqrstuvwxyz234567") != "" {
		return "", errs.New(errs.Corrupt, "%s does not hold the id of a server: restore it, or delete it when no job of this server runs", path)
	}
	return id, nil
}

// writeOnce writes a small private file so that it is there whole or not at all, whenever the machine stops.
func writeOnce(path, text string) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
