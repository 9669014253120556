// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"encoding/json"
	"slices"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/query"
	"firn.dev/firn/internal/sql/rowset"
)

// environmentEnds keeps what an environment was, in the transaction that drops or replaces it. No other statement changes the digest that
// an environment is pinned to.
func environmentEnds(w *work, tx catalog.Tx, o *catalog.Object) error {
	verdict, err := w.verdict(tx, o)
	if err != nil {
		return err
	}
	reason := catalog.EnvironmentDropped
	if _, replaced := w.statement.(*ast.Create); replaced {
		reason = catalog.EnvironmentReplaced
	}
	return tx.AddPastEnvironment(&catalog.PastEnvironment{
		Environment: o.ID, Name: o.Name.Object, Owner: o.Owner, Spec: *o.Spec.(*catalog.RuntimeEnvironmentSpec), Since: o.Created,
		Verdict: verdict.Result, Policy: verdict.policy(), EndedBy: w.session.User, EndedAs: w.session.Role, Reason: reason, Statement: w.id,
	})
}

// verdict is what history keeps of a report, JSON of schema firn.validate/1.
type verdict struct {
	Result string `json:"result"`
	Policy struct {
		Name   string `json:"name"`
		SHA256 string `json:"sha256"`
	} `json:"policy"`
}

// policy names the policy that was applied, "" when that is not known.
func (v verdict) policy() string {
	if v.Policy.SHA256 == "" {
		return v.Policy.Name
	}
	return v.Policy.Name + " (sha256 " + v.Policy.SHA256 + ")"
}

// verdict reads the report of an environment; of one that has none, or one that cannot be read, nothing is known. That must not keep
// anybody from dropping it.
func (w *work) verdict(tx catalog.Tx, o *catalog.Object) (v verdict, err error) {
	packed, err := tx.Report(o.ID)
	if errs.Is(err, errs.NotFound) {
		return v, nil
	}
	if err != nil {
		return v, err
	}
	text, err := w.codec.unpack.DecodeAll(packed, nil)
	if err == nil {
		err = json.Unmarshal(text, &v)
	}
	if err != nil {
		w.options.Log.Warn("the report of an environment cannot be read", "environment", o.Name.String(), "error", err)
		return verdict{}, nil
	}
	return v, nil
}

// environmentHistory is INFORMATION_SCHEMA.CUSTOM_RUNTIME_ENVIRONMENT_HISTORY: what environments of the account were pinned to before they
// were replaced or dropped, newest first.
func environmentHistory() relation {
	at := rowset.TimestampColumn
	columns := slices.Concat(
		textColumns("ENVIRONMENT_NAME ENVIRONMENT_ID OWNER IMAGE_PATH DIGEST PINNED_IMAGE_PATH BASE_IMAGE_TYPE CRE_STATUS VERDICT POLICY"),
		[]rowset.Column{at("START_TIME"), at("END_TIME")}, textColumns("END_REASON USER_NAME ROLE_NAME QUERY_ID"), []rowset.Column{at("HELD_UNTIL")},
	)
	return relation{
		columns: columns,
		rows: func(ctx context.Context, w *work, _ query.TableCall) ([][]*string, error) {
			return w.readers(ctx, (*listing).environmentHistory)
		},
	}
}

func (l *listing) environmentHistory() error {
	l.guard.Preload()
	account, err := l.tx.ObjectByID(catalog.AccountID)
	if err != nil {
		return err
	}
	hold := account.Spec.(*catalog.AccountSpec).HistoryHold()
	for p, err := range l.tx.PastEnvironments() {
		if err != nil {
			return err
		}
		visible, err := l.knowsPast(p)
		if err != nil {
			return err
		}
		if !visible {
			continue
		}
		pinned, err := l.pinnedPath(&p.Spec)
		if err != nil {
			return err
		}
		s := &p.Spec
		more := l.add(p.Name, func() []*string {
			return []*string{
				textCell(p.Name), textCell(string(p.Environment)), orNull(p.Owner), textCell(s.Path), textCell(s.Digest), pinned, textCell(s.BaseType),
				textCell(string(s.Status)), orNull(p.Verdict), orNull(p.Policy), timeCell(p.Since), timeCell(p.Until), textCell(string(p.Reason)),
				orNull(p.EndedBy), orNull(p.EndedAs), orNull(p.Statement), timeCell(p.Until.Add(hold)),
			}
		})
		if !more {
			break
		}
	}
	return nil
}

// knowsPast tells whether the role may see what an environment was: it has the role that owned it, or may know of the environment that has
// the name now, when that has the same owner.
func (l *listing) knowsPast(p *catalog.PastEnvironment) (bool, error) {
	if l.guard.Has(p.Owner) || l.guard.ManagesGrants() {
		return true, nil
	}
	o, err := l.tx.Object(catalog.KindRuntimeEnvironment, catalog.Name{Object: p.Name})
	if errs.Is(err, errs.NotFound) {
		return false, nil
	}
	return err == nil && o.Owner == p.Owner && l.guard.Visible(o), err
}

// pinnedPath gives the path by which an image can be registered again, NULL when it is gone.
func (l *listing) pinnedPath(s *catalog.RuntimeEnvironmentSpec) (*string, error) {
	repository, err := l.tx.ObjectByID(s.Repository)
	if err == nil {
		_, err = l.tx.Manifest(s.Repository, s.Image, s.TagDigest)
	}
	if errs.Is(err, errs.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return textCell(repositoryPath(repository.Name) + "/" + s.Image + "@" + s.TagDigest), nil
}
