// SPDX-License-Identifier: Apache-2.0

package catalogtest_test

import (
	"iter"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

func brokenGarbage() map[string]func(catalog.Store) catalog.Store {
	return map[string]func(catalog.Store) catalog.Store{
		"what nothing names is unused":                   onTx(func(tx catalog.Tx) catalog.Tx { return sparesBlobs{tx} }),
		"unused things go one after the other":           onTx(func(tx catalog.Tx) catalog.Tx { return ignoresKey{tx} }),
		"a lease protects what nothing names":            onTx(func(tx catalog.Tx) catalog.Tx { return forgetsUntagged{tx} }),
		"what is held stays":                             onTx(func(tx catalog.Tx) catalog.Tx { return holdsNothing{tx} }),
		"an open upload protects the blobs of its image": onTx(func(tx catalog.Tx) catalog.Tx { return ignoresUploads{tx} }),
		"contents are listed in pages":                   onTx(func(tx catalog.Tx) catalog.Tx { return repeatsBlobs{tx} }),
		"a duty has one holder":                          onTx(func(tx catalog.Tx) catalog.Tx { return sharesDuties{tx} }),
		"programmatic tokens are kept by user and name":  onTx(func(tx catalog.Tx) catalog.Tx { return removesNothing{tx} }),
	}
}

type sparesBlobs struct{ catalog.Tx }

func (w sparesBlobs) UnusedBlobs(time.Time) iter.Seq2[*catalog.Blob, error] {
	return values([]*catalog.Blob(nil))
}

type ignoresKey struct{ catalog.Tx }

func (w ignoresKey) CollectBlob(digest, _ string, before time.Time) (bool, error) {
	b, err := w.Blob(digest)
	if err != nil {
		return false, nil
	}
	return w.Tx.CollectBlob(digest, b.Key, before)
}

type forgetsUntagged struct{ catalog.Tx }

func (w forgetsUntagged) CollectManifest(u catalog.Unused, _ time.Time) (bool, error) {
	return w.Tx.CollectManifest(u, w.Now().Add(time.Hour))
}

type holdsNothing struct{ catalog.Tx }

func (w holdsNothing) RenewHeld(time.Time) error { return nil }

type ignoresUploads struct{ catalog.Tx }

func (w ignoresUploads) CollectLink(u catalog.Unused, _ time.Time) (bool, error) {
	return true, w.UnlinkBlob(u.Repository, u.Image, u.Digest)
}

type repeatsBlobs struct{ catalog.Tx }

func (w repeatsBlobs) BlobsAfter(_ string, limit int) iter.Seq2[*catalog.Blob, error] {
	return w.Tx.BlobsAfter("", limit)
}

type sharesDuties struct{ catalog.Tx }

func (w sharesDuties) TakeDuty(name, holder string, until, since time.Time) error {
	if d, err := w.Duty(name); err == nil {
		return w.Tx.TakeDuty(name, d.Holder, until, since)
	}
	return w.Tx.TakeDuty(name, holder, until, since)
}

type removesNothing struct{ catalog.Tx }

func (w removesNothing) DeleteToken(hash string) error {
	if _, err := w.Token(hash); err != nil {
		return errs.New(errs.NotFound, "the token does not exist")
	}
	return nil
}
