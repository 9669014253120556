// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"regexp"
	"strconv"
	"strings"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/rbac"
	"firn.dev/firn/internal/sql/ast"
)

// mostRows is the most rows that any SHOW gives.
const mostRows = 10_000

// listing gathers the rows of one SHOW or DESCRIBE, inside one transaction. LIKE, STARTS WITH and LIMIT mean the same for
// everything that can be shown because they are applied here only.
type listing struct {
	w     *work
	tx    catalog.Tx
	guard *rbac.Guard
	err   error // the first failure of a column

	like   *regexp.Regexp // nil: all
	starts string
	from   string
	limit  int
	rows   [][]*string

	pools   map[string]poolLoad
	ran     *catalog.Job      // of the service whose columns are being filled
	account *catalog.UserSpec // of the session's user, once asked for
}

// newListing starts a listing. Without a filter it takes all.
func newListing(w *work, tx catalog.Tx, g *rbac.Guard, f *filter) *listing {
	l := &listing{w: w, tx: tx, guard: g, limit: mostRows, rows: [][]*string{}}
	if f != nil {
		l.like, l.starts, l.from, l.limit = f.like, f.starts, f.from, f.limit
	}
	return l
}

// filter is LIKE, STARTS WITH and LIMIT ... FROM of a SHOW.
type filter struct {
	like   *regexp.Regexp
	starts string
	from   string
	limit  int
}

// filterOf evaluates the filter of a SHOW.
func (w *work) filterOf(s *ast.Show) (*filter, error) {
	f := &filter{limit: mostRows}
	for _, part := range []struct {
		expr ast.Expr
		set  func(string) error
	}{
		{s.Like, func(t string) (err error) { f.like, err = likePattern(t); return err }},
		{s.StartsWith, func(t string) error { f.starts = t; return nil }},
		{s.LimitFrom, func(t string) error { f.from = t; return nil }},
		{s.Limit, func(t string) error {
			n, err := strconv.Atoi(t)
			if err != nil || n < 0 || n > mostRows {
				return errs.New(errs.Invalid, "SQL compilation error:\ninvalid value '%s' for LIMIT; allowed: a whole number from 0 to %d", t, mostRows).Numbered(1003, "42000")
			}
			f.limit = n
			return nil
		}},
	} {
		if part.expr == nil {
			continue
		}
		text, err := w.scalarText(part.expr)
		if err != nil {
			return nil, err
		}
		if err := part.set(text); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// likePattern compiles a pattern of SHOW ... LIKE: % is any text, _ any character, \ takes the next one as it is, case does not
// matter.
func likePattern(pattern string) (*regexp.Regexp, error) {
	var b strings.Builder
	b.WriteString("(?is)^")
	escaped := false
	for _, r := range pattern {
		switch {
		case escaped:
			b.WriteString(regexp.QuoteMeta(string(r)))
			escaped = false
		case r == '\\':
			escaped = true
		case r == '%':
			b.WriteString(".*")
		case r == '_':
			b.WriteString(".")
		default:
			b.WriteString(regexp.QuoteMeta(string(r)))
		}
	}
	b.WriteString("$")
	re, err := regexp.Compile(b.String())
	if err != nil {
		return nil, errs.Wrap(err, errs.Invalid, "invalid LIKE pattern '%s'", pattern)
	}
	return re, nil
}

// admits tells whether a row of that name is wanted.
func (l *listing) admits(name string) bool {
	return strings.HasPrefix(name, l.starts) && (l.from == "" || name > l.from) && (l.like == nil || l.like.MatchString(name))
}

// add adds a row if it is wanted. It tells whether more rows may follow.
func (l *listing) add(name string, cells func() []*string) bool {
	if l.admits(name) && !l.full() {
		l.rows = append(l.rows, cells())
	}
	return !l.full()
}

func (l *listing) full() bool { return l.err != nil || len(l.rows) >= l.limit }

// fail notes the first failure.
func (l *listing) fail(err error) {
	if l.err == nil {
		l.err = err
	}
}

// done gives the first failure of columns or of the guard.
func (l *listing) done() error {
	if l.err != nil {
		return l.err
	}
	return l.guard.Err()
}

// user gives the spec of the session's user, an empty one for a role without a user.
func (l *listing) user() *catalog.UserSpec {
	if l.account == nil {
		l.account = &catalog.UserSpec{}
		_, spec, err := catalog.Get[*catalog.UserSpec](l.tx, catalog.Name{Object: l.w.session.User})
		switch {
		case err == nil:
			l.account = spec
		case !errs.Is(err, errs.NotFound):
			l.fail(err)
		}
	}
	return l.account
}

func (l *listing) defaultDatabase() string {
	database, _, _ := strings.Cut(l.user().DefaultNamespace, ".")
	return database
}
