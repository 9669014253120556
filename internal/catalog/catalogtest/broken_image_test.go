// SPDX-License-Identifier: Apache-2.0

package catalogtest_test

import (
	"iter"

	"firn.dev/firn/internal/catalog"
)

// brokenImageRules breaks one promise of image events and storage each.
func brokenImageRules() map[string]func(catalog.Store) catalog.Store {
	return map[string]func(catalog.Store) catalog.Store{
		"image events are listed newest first and purged": onTx(func(tx catalog.Tx) catalog.Tx { return allEvents{tx} }),
		"the last pull of a manifest is known":            onTx(func(tx catalog.Tx) catalog.Tx { return firstPull{tx} }),
		"storage counts content once":                     onTx(func(tx catalog.Tx) catalog.Tx { return storageTwice{tx} }),
		"uploads reserve storage":                         onTx(func(tx catalog.Tx) catalog.Tx { return ownReservation{tx} }),
		"images share what others hold":                   onTx(func(tx catalog.Tx) catalog.Tx { return allShared{tx} }),
		"jobs hold their image for some days":             onTx(func(tx catalog.Tx) catalog.Tx { return forgotten{tx} }),
	}
}

// allEvents knows no limit.
type allEvents struct{ catalog.Tx }

func (t allEvents) ImageEvents(repositories []catalog.ID, _ int) iter.Seq2[catalog.ImageEvent, error] {
	return t.Tx.ImageEvents(repositories, 1000)
}

// firstPull keeps the first pull.
type firstPull struct{ catalog.Tx }

func (t firstPull) PutImagePull(p catalog.ImagePull) error {
	if _, err := t.ImagePull(p.Repository, p.Image, p.Digest); err == nil {
		return nil
	}
	return t.Tx.PutImagePull(p)
}

// storageTwice counts what two repositories hold twice.
type storageTwice struct{ catalog.Tx }

func (t storageTwice) StorageUsed(repositories []catalog.ID) (int64, error) {
	var sum int64
	for _, r := range repositories {
		n, err := t.Tx.StorageUsed([]catalog.ID{r})
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// ownReservation counts the upload that it should leave out.
type ownReservation struct{ catalog.Tx }

func (t ownReservation) StorageReserved(repositories []catalog.ID, _ catalog.ID) (int64, error) {
	return t.Tx.StorageReserved(repositories, "")
}

// allShared says that all content is shared.
type allShared struct{ catalog.Tx }

func (t allShared) ImageSizes(repository catalog.ID) iter.Seq2[catalog.ImageSize, error] {
	return func(yield func(catalog.ImageSize, error) bool) {
		for size, err := range t.Tx.ImageSizes(repository) {
			size.SharedBytes = size.Bytes
			if !yield(size, err) {
				return
			}
		}
	}
}

// forgotten forgets jobs that have ended.
type forgotten struct{ catalog.Tx }

func (t forgotten) ManifestHolders(repository catalog.ID, _, _ string) ([]string, error) {
	return t.Tx.ManifestHolders(repository, "", "")
}
