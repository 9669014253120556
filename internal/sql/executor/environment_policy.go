// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"slices"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/session"
	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/query"
)

// environmentPolicy is SYSTEM$GET_RUNTIME_ENVIRONMENT_POLICY(): what images are judged by here, JSON of schema firn.policy/1. Everybody
// who can log in may read it, so that images can be judged before they are pushed.
func environmentPolicy(ctx context.Context, w *work, _ []query.Value) (query.Value, error) {
	terms, err := w.options.Images.Terms(ctx)
	if err != nil {
		return query.Value{}, err
	}
	return query.TextValue(string(terms)), nil
}

// policyParameter is how SHOW PARAMETERS IN ACCOUNT describes the policy.
func policyParameter() session.Parameter {
	return session.Parameter{
		Name: catalog.PolicyParameter, Default: "default", Type: "STRING",
		Description: "policy that images of custom runtime environments must meet",
	}
}

// policyTitle names the policy that a text holds.
func (w *work) policyTitle(text string) string {
	p, err := w.options.Images.Policy(text)
	if err != nil { // an earlier version of Firn could read it
		return "cannot be read: " + errs.MessageOf(err)
	}
	return p.Name + " (sha256 " + p.SHA256 + ")"
}

// policyChange checks the policy that ALTER ACCOUNT sets, and gives what the audit trail says of that, "" when it sets none. set holds the
// values of the statement's parameters.
//
// Errors: Invalid, with line and key.
func (w *work) policyChange(s *ast.Alter, set map[string]string) (string, error) {
	text, given := set[catalog.PolicyParameter]
	switch {
	case given:
		if _, err := w.options.Images.Policy(text); err != nil {
			return "", errs.New(errs.CodeOf(err), "SQL compilation error:\ninvalid value for parameter '%s': %s", catalog.PolicyParameter, errs.MessageOf(err)).
				Numbered(1008, "22023")
		}
		return catalog.PolicyParameter + " set to " + w.policyTitle(text), nil
	case slices.Contains(s.Unset, catalog.PolicyParameter):
		return catalog.PolicyParameter + " unset", nil
	}
	return "", nil
}

// samePolicy makes sure that the account's policy is still the one that an image was judged by.
//
// Errors: Conflict.
func samePolicy(tx catalog.Tx, judgedBy string) error {
	o, err := tx.ObjectByID(catalog.AccountID)
	if err != nil {
		return err
	}
	if o.Spec.(*catalog.AccountSpec).Parameters[catalog.PolicyParameter] != judgedBy {
		return errs.New(errs.Conflict, "the account's %s changed while the image was checked: run the statement again", catalog.PolicyParameter)
	}
	return nil
}
