// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/rbac"
	"firn.dev/firn/internal/sql/parser"
	"firn.dev/firn/internal/sql/query"
)

// environmentReport is SYSTEM$GET_RUNTIME_ENVIRONMENT_REPORT('name'): the validation that the environment passed when it was made,
// JSON of schema firn.validate/1. It needs what DESCRIBE needs.
func environmentReport(ctx context.Context, w *work, args []query.Value) (query.Value, error) {
	text, err := textArg(args, 0)
	if err != nil {
		return query.Value{}, err
	}
	name, err := parser.ParseName(text, catalog.KindRuntimeEnvironment)
	if err != nil {
		return query.Value{}, err
	}
	named := catalog.Name{Object: name.Parts[len(name.Parts)-1].Canonical()}
	var packed []byte
	err = w.view(ctx, func(tx catalog.Tx, g *rbac.Guard) error {
		err := g.Check([]catalog.Requirement{{Any: []catalog.Privilege{catalog.Monitor}, Kind: catalog.KindRuntimeEnvironment, Name: named}})
		if err != nil {
			return err
		}
		o, err := tx.Object(catalog.KindRuntimeEnvironment, named)
		if err != nil {
			return err
		}
		packed, err = tx.Report(o.ID)
		if errs.Is(err, errs.NotFound) {
			return errs.New(errs.NotFound, "custom runtime environment %s has no report: it was made before reports were kept; CREATE OR REPLACE makes one", named)
		}
		return err
	})
	if err != nil {
		return query.Value{}, err
	}
	report, err := w.codec.unpack.DecodeAll(packed, nil)
	if err != nil {
		return query.Value{}, errs.Wrap(err, errs.Corrupt, "the stored report of %s cannot be read", named)
	}
	return query.TextValue(string(report)), nil
}
