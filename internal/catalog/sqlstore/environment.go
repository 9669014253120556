// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"iter"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

const pastColumns columns = "id, environment, name, owner, repository, image, digest, tag_digest, spec, verdict, policy, since, ended, user_name, role, reason, statement"

func readPast(row scan) (*catalog.PastEnvironment, error) {
	p := &catalog.PastEnvironment{}
	s := &p.Spec
	return p, row(&p.ID, &p.Environment, &p.Name, &p.Owner, &s.Repository, &s.Image, &s.Digest, &s.TagDigest, documentColumn{s}, &p.Verdict, &p.Policy,
		stamp{&p.Since}, stamp{&p.Until}, &p.EndedBy, &p.EndedAs, &p.Reason, &p.Statement)
}

// AddPastEnvironment implements catalog.EnvironmentHistory.
func (t *tx) AddPastEnvironment(p *catalog.PastEnvironment) error {
	if p.ID == "" {
		p.ID = t.newID()
	}
	if p.Until.IsZero() {
		p.Until = t.now
	}
	s := &p.Spec
	spec, err := document(s)
	if err != nil {
		return err
	}
	_, err = t.exec("INSERT INTO environment_history ("+string(pastColumns)+") VALUES ("+pastColumns.places()+")",
		string(p.ID), string(p.Environment), p.Name, p.Owner, string(s.Repository), s.Image, s.Digest, s.TagDigest, spec, p.Verdict, p.Policy,
		micros(p.Since), micros(p.Until), p.EndedBy, p.EndedAs, string(p.Reason), p.Statement)
	return err
}

// PastEnvironments implements catalog.EnvironmentHistory.
func (t *tx) PastEnvironments() iter.Seq2[*catalog.PastEnvironment, error] {
	return list(t, readPast, "SELECT "+string(pastColumns)+" FROM environment_history ORDER BY ended DESC, id DESC")
}

// account gives the account's own settings; a catalog without an account has none.
func (t *tx) account() (*catalog.AccountSpec, error) {
	o, err := t.ObjectByID(catalog.AccountID)
	if errs.Is(err, errs.NotFound) {
		return &catalog.AccountSpec{}, nil
	}
	if err != nil {
		return nil, err
	}
	return o.Spec.(*catalog.AccountSpec), nil
}

// historyHolding names the environments whose history needs a manifest.
func (t *tx) historyHolding(repository catalog.ID, image, digest string, hold time.Duration) ([]string, error) {
	type past struct {
		name  string
		until time.Time
	}
	read := func(row scan) (p past, err error) { return p, row(&p.name, stamp{&p.until}) }
	var names []string
	for p, err := range list(t, read, `SELECT name, MAX(ended) FROM environment_history
		WHERE repository = $1 AND image = $2 AND (digest = $3 OR tag_digest = $3) AND ended > $4 GROUP BY name`,
		string(repository), image, digest, micros(t.now.Add(-hold))) {
		if err != nil {
			return nil, err
		}
		until := p.until.Add(hold).UTC().Format("2006-01-02 15:04 UTC")
		names = append(names, "history of environment "+catalog.Name{Object: p.name}.String()+" until "+until)
	}
	return names, nil
}
