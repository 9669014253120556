// SPDX-License-Identifier: Apache-2.0

package sqlstore_test

import (
	"context"
	"fmt"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/catalog/sqlstore"
)

func ExampleOpen() {
	ctx := context.Background()
	s, err := sqlstore.Open(ctx, "sqlite::memory:", sqlstore.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	name := catalog.Name{Object: "SANDBOX"}
	err = s.Update(ctx, func(tx catalog.Tx) error {
		return tx.CreateObject(&catalog.Object{Kind: catalog.KindDatabase, Name: name, Owner: catalog.RoleSysAdmin, Spec: &catalog.DatabaseSpec{RetentionDays: 1}})
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = s.View(ctx, func(tx catalog.Tx) error {
		o, spec, err := catalog.Get[*catalog.DatabaseSpec](tx, name)
		if err == nil {
			fmt.Println(o.Name, "belongs to", o.Owner, "and keeps", spec.RetentionDays, "day")
		}
		return err
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output: SANDBOX belongs to SYSADMIN and keeps 1 day
}
