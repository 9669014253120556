// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"maps"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/rbac"
	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/rowset"
)

// succeeded is the answer of ALTER and USE.
const succeeded = "Statement executed successfully."

// alter runs ALTER for every kind.
func (w *work) alter(ctx context.Context, s *ast.Alter) (*Result, error) {
	if s.Kind == catalog.KindAccount {
		return w.alterAccount(ctx, s)
	}
	k, err := w.kindOf(s.Kind)
	if err != nil {
		return nil, err
	}
	if s.Token.Text != "" {
		return w.alterToken(ctx, s)
	}
	changes, err := k.decode(ctx, w, s.Set, true)
	if err != nil {
		return nil, err
	}
	for _, name := range s.Unset {
		p, err := k.property(name, true)
		if err != nil {
			return nil, err
		}
		if p.reset == nil {
			return nil, errs.New(errs.Invalid, "SQL compilation error:\nproperty '%s' cannot be unset", name).Numbered(1008, "22023")
		}
		changes = append(changes, p.reset)
	}
	act, err := k.actionOf(s)
	if err != nil {
		return nil, err
	}
	if act.answer != nil {
		return act.answer(ctx, w, s)
	}
	err = w.update(ctx, func(tx catalog.Tx, g *rbac.Guard) error {
		o, err := g.Find(s.Kind, s.Name.Resolved)
		if err != nil {
			return err
		}
		for _, c := range changes {
			c(o)
		}
		if k.check != nil && len(changes) > 0 {
			if err := k.check(o); err != nil {
				return err
			}
		}
		if act.run != nil {
			if err := act.run(w, tx, g, o); err != nil {
				return err
			}
		}
		return w.store(tx, k, s, o)
	})
	if s.IfExists && errs.Is(err, errs.NotFound) {
		return &Result{Rowset: status(succeeded)}, nil
	}
	return &Result{Rowset: status(succeeded)}, err
}

// store stores a changed object, under its new name when it is renamed.
func (w *work) store(tx catalog.Tx, k *kind, s *ast.Alter, o *catalog.Object) error {
	detail := s.Action
	if s.RenameTo != nil {
		to := s.RenameTo.Resolved
		detail = "renamed to " + to.String()
		if k.renaming != nil {
			if err := k.renaming(w, tx, o, to); err != nil {
				return err
			}
		}
		o.Name = to
	}
	if k.kind == catalog.KindUser {
		if err := uniqueLogin(tx, o); err != nil {
			return err
		}
		if err := disabledUser(tx, o); err != nil {
			return err
		}
	}
	if err := tx.AlterObject(o); err != nil {
		return alreadyExists(err, o.Name)
	}
	return w.audit(tx, "alter", o, detail)
}

// disabledUser ends all logins of a user that is disabled.
func disabledUser(tx catalog.Tx, o *catalog.Object) error {
	if !o.Spec.(*catalog.UserSpec).Disabled {
		return nil
	}
	programs, err := collect(tx.ProgramTokens(o.Name.Object)) // they open nothing until the user is enabled again
	if err != nil {
		return err
	}
	if _, err := tx.DeleteTokens(0, "", o.Name.Object); err != nil {
		return err
	}
	for _, t := range programs {
		if err := tx.PutToken(t); err != nil {
			return err
		}
	}
	return nil
}

// actionOf finds what ALTER does by bare words or by RENAME TO.
func (k *kind) actionOf(s *ast.Alter) (action, error) {
	if s.RenameTo != nil && !k.rename {
		return action{}, errs.New(errs.Unsupported, "SQL compilation error:\nUnsupported feature 'ALTER %s ... RENAME TO'.", k.kind).Numbered(2, "0A000")
	}
	if s.Action == "" {
		return action{}, nil
	}
	act, ok := k.actions[s.Action]
	if !ok {
		return action{}, errs.New(errs.Unsupported, "SQL compilation error:\nUnsupported feature 'ALTER %s ... %s'.", k.kind, s.Action).Numbered(2, "0A000")
	}
	return act, nil
}

// alterAccount runs ALTER ACCOUNT SET and UNSET of parameters.
func (w *work) alterAccount(ctx context.Context, s *ast.Alter) (*Result, error) {
	set, err := w.parameterTexts(s.Set)
	if err != nil {
		return nil, err
	}
	detail, err := w.accountChange(s, set)
	if err != nil {
		return nil, err
	}
	err = w.update(ctx, func(tx catalog.Tx, _ *rbac.Guard) error {
		o, err := tx.ObjectByID(catalog.AccountID)
		if err != nil {
			return err
		}
		spec := o.Spec.(*catalog.AccountSpec)
		if spec.Parameters == nil {
			spec.Parameters = map[string]string{}
		}
		maps.Copy(spec.Parameters, set)
		for _, name := range s.Unset {
			delete(spec.Parameters, name)
		}
		if err := tx.AlterObject(o); err != nil {
			return err
		}
		return w.audit(tx, "alter", o, detail)
	})
	return &Result{Rowset: status(succeeded)}, err
}

// alterColumns gives the columns of ALTER without running it.
func (w *work) alterColumns(_ context.Context, s *ast.Alter) ([]rowset.Column, error) {
	if s.Token.Text != "" {
		return tokenColumns(s), nil
	}
	if k, ok := w.kinds[s.Kind]; ok && k.actions[s.Action].columns != nil {
		return k.actions[s.Action].columns, nil
	}
	return statusColumns(), nil
}
