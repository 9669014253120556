// SPDX-License-Identifier: Apache-2.0

package catalogtest_test

import (
	"iter"
	"slices"

	"firn.dev/firn/internal/catalog"
)

func brokenEnvironments() map[string]func(catalog.Store) catalog.Store {
	return map[string]func(catalog.Store) catalog.Store{
		"what environments were is kept":            onTx(func(tx catalog.Tx) catalog.Tx { return oldestFirst{tx} }),
		"what environments were holds their images": onTx(func(tx catalog.Tx) catalog.Tx { return forgottenPast{tx} }),
		"the account says how long images are held": onTx(func(tx catalog.Tx) catalog.Tx { return deafAccount{tx} }),
	}
}

type oldestFirst struct{ catalog.Tx }

func (w oldestFirst) PastEnvironments() iter.Seq2[*catalog.PastEnvironment, error] {
	all := collect(w.Tx.PastEnvironments())
	slices.Reverse(all)
	return values(all)
}

// forgottenPast forgets the index through which an image was registered.
type forgottenPast struct{ catalog.Tx }

func (w forgottenPast) AddPastEnvironment(p *catalog.PastEnvironment) error {
	p.Spec.TagDigest = p.Spec.Digest
	return w.Tx.AddPastEnvironment(p)
}

// deafAccount keeps no parameters.
type deafAccount struct{ catalog.Tx }

func (w deafAccount) AlterObject(o *catalog.Object) error {
	if o.Kind == catalog.KindAccount {
		o.Spec = &catalog.AccountSpec{}
	}
	return w.Tx.AlterObject(o)
}
