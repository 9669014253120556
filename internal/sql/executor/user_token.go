// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"crypto/rand"
	"strings"
	"time"

	"firn.dev/firn/internal/auth"
	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/rbac"
	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/rowset"
)

// Programmatic access tokens: what programs log in with in place of a password.
// https://docs.snowflake.com/en/user-guide/programmatic-access-tokens

const (
	// mostTokens is how many a user may have.
	mostTokens = 15
	// tokenDays is how long one lives unless DAYS_TO_EXPIRY says otherwise, mostTokenDays the longest.
	tokenDays, mostTokenDays = 15, 365
	// rotatedHours is how long a rotated one lives on, mostRotatedHours the longest.
	rotatedHours, mostRotatedHours = 24, 7 * 24
)

// tokenOptions is what ADD, MODIFY and ROTATE may say; nil where they do not.
type tokenOptions struct {
	role, comment, rename *string
	days, hours           *int
	disabled              *bool
}

// options reads the options of a statement about a token.
func (w *work) tokenOptions(s *ast.Alter) (o tokenOptions, err error) {
	action, _, _ := strings.Cut(s.Action, " ")
	allowed := map[string]string{
		"ROLE_RESTRICTION": "ADD", "DAYS_TO_EXPIRY": "ADD", "COMMENT": "ADD MODIFY", "DISABLED": "MODIFY", "NAME": "MODIFY",
		"EXPIRE_ROTATED_TOKEN_AFTER_HOURS": "ROTATE", "MINS_TO_BYPASS_NETWORK_POLICY_REQUIREMENT": "ADD MODIFY",
	}
	for _, p := range s.Set {
		if !strings.Contains(" "+allowed[p.Name]+" ", " "+action+" ") {
			return o, errs.New(errs.Invalid, "SQL compilation error:\ninvalid property '%s' for '%s'", p.Name, s.Action).Numbered(1420, "22023")
		}
		var text string
		var n int
		switch p.Name {
		case "DAYS_TO_EXPIRY":
			n, err = w.numberValue(p.Name, p.Value, 1, mostTokenDays)
			o.days = &n
		case "EXPIRE_ROTATED_TOKEN_AFTER_HOURS":
			n, err = w.numberValue(p.Name, p.Value, 0, mostRotatedHours)
			o.hours = &n
		case "DISABLED":
			text, err = w.wordValue(p.Name, p.Value, []string{"TRUE", "FALSE"})
			disabled := text == "TRUE"
			o.disabled = &disabled
		default:
			text, err = w.textValue(p.Name, p.Value)
			switch p.Name {
			case "ROLE_RESTRICTION":
				o.role = &text
			case "COMMENT":
				o.comment = &text
			case "NAME":
				text = strings.ToUpper(text)
				o.rename = &text
			}
		}
		if err != nil {
			return o, err
		}
	}
	return o, nil
}

// tokenColumns gives what a statement about a token answers.
func tokenColumns(s *ast.Alter) []rowset.Column {
	columns := []rowset.Column{rowset.TextColumn("token_name"), rowset.TextColumn("token_secret")}
	switch {
	case strings.HasPrefix(s.Action, "ADD"):
		return columns
	case strings.HasPrefix(s.Action, "ROTATE"):
		return append(columns, rowset.TextColumn("rotated_token_name"))
	}
	return statusColumns()
}

// alterToken runs ALTER USER ... ADD, MODIFY, REMOVE and ROTATE PROGRAMMATIC ACCESS TOKEN.
func (w *work) alterToken(ctx context.Context, s *ast.Alter) (*Result, error) {
	o, err := w.tokenOptions(s)
	if err != nil {
		return nil, err
	}
	out := &Result{Rowset: status(succeeded)}
	err = w.update(ctx, func(tx catalog.Tx, g *rbac.Guard) error {
		user, err := g.Find(catalog.KindUser, s.Name.Resolved)
		if err != nil {
			return err
		}
		action, _, _ := strings.Cut(s.Action, " ")
		name := s.Token.Canonical()
		if action == "ADD" {
			err = w.addToken(tx, g, user, name, o, out)
		} else {
			err = w.changeToken(tx, user, name, action, o, out)
		}
		if err != nil {
			return err
		}
		if out.secret != "" {
			out.Rowset.Columns = tokenColumns(s)
		}
		return w.audit(tx, "alter", user, strings.ToLower(s.Action)+" "+name)
	})
	if s.IfExists && errs.Is(err, errs.NotFound) {
		return out, nil
	}
	return out, err
}

// addToken adds a token and puts its secret into the result: the only time that anybody sees it.
func (w *work) addToken(tx catalog.Tx, g *rbac.Guard, user *catalog.Object, name string, o tokenOptions, out *Result) error {
	tokens, err := collect(tx.ProgramTokens(user.Name.Object))
	if err != nil {
		return err
	}
	if len(tokens) >= mostTokens {
		return errs.New(errs.Exhausted, "user '%s' has %d programmatic access tokens, which is the most: remove one first", user.Name, len(tokens)).Numbered(93010, "22023")
	}
	t := catalog.Token{Use: catalog.TokenProgram, User: user.Name.Object, Name: name, Created: tx.Now(), CreatedBy: w.session.User}
	if t.Role, err = w.tokenRole(tx, g, user, o.role); err != nil {
		return err
	}
	days := tokenDays
	if o.days != nil {
		days = *o.days
	}
	if o.comment != nil {
		t.Comment = *o.comment
	}
	t.Expires = t.Created.Add(time.Duration(days) * 24 * time.Hour)
	if _, taken := findToken(tokens, name); taken {
		return tokenExists(name)
	}
	return mintToken(tx, t, out, t.Name)
}

// tokenRole gives the role that a token is for: one of the user's, and no other than the session's own when that has but one.
func (w *work) tokenRole(tx catalog.Tx, g *rbac.Guard, user *catalog.Object, asked *string) (string, error) {
	role := ""
	if asked != nil {
		if role = *asked; !g.Graph().OfUser(user.Name.Object)[role] {
			role = strings.ToUpper(role)
		}
		_, err := tx.Object(catalog.KindRole, catalog.Name{Object: role})
		if errs.Is(err, errs.NotFound) || err == nil && !g.Graph().OfUser(user.Name.Object)[role] {
			return "", errs.New(errs.Invalid, "role '%s' does not exist or is not granted to user '%s'", role, user.Name).Numbered(2003, "02000")
		} else if err != nil {
			return "", err
		}
	}
	if role == "" && user.Spec.(*catalog.UserSpec).Type == "SERVICE" {
		return "", errs.New(errs.Invalid, "a token of the service user '%s' needs ROLE_RESTRICTION = '<role>'", user.Name).Numbered(1008, "22023")
	}
	if bound := w.session.Bound; bound != "" && role != bound {
		return "", errs.New(errs.Denied, "this session was opened with a token for the role '%s': it makes tokens for that role only", bound).Numbered(3001, "42501")
	}
	return role, nil
}

// mintToken makes the secret of a token, stores the token, and answers with cells and the secret behind the first.
func mintToken(tx catalog.Tx, t catalog.Token, out *Result, cells ...string) error {
	secret, err := auth.Mint(&t, rand.Reader)
	if err != nil {
		return err
	}
	row := []*string{textCell(cells[0]), textCell(secret.Reveal())}
	for _, c := range cells[1:] {
		row = append(row, textCell(c))
	}
	out.Rowset, out.secret = &rowset.Rowset{Rows: [][]*string{row}}, secret
	return tx.PutToken(t)
}

// changeToken runs MODIFY, REMOVE and ROTATE.
func (w *work) changeToken(tx catalog.Tx, user *catalog.Object, name, action string, o tokenOptions, out *Result) error {
	tokens, err := collect(tx.ProgramTokens(user.Name.Object))
	if err != nil {
		return err
	}
	t, ok := findToken(tokens, name)
	if !ok {
		return errs.New(errs.NotFound, "SQL compilation error:\nProgrammatic access token '%s' of user '%s' does not exist.", name, user.Name).Numbered(2003, "02000")
	}
	if bound := w.session.Bound; bound != "" && t.Role != bound {
		return errs.New(errs.Denied, "this session was opened with a token for the role '%s': it changes tokens for that role only", bound).Numbered(3001, "42501")
	}
	switch action {
	case "REMOVE":
		return tx.DeleteToken(t.Hash)
	case "ROTATE":
		return rotateToken(tx, tokens, t, o, out)
	}
	if o.comment != nil {
		t.Comment = *o.comment
	}
	if o.disabled != nil {
		t.Disabled = *o.disabled
	}
	if o.rename != nil && *o.rename != t.Name {
		if _, taken := findToken(tokens, *o.rename); taken {
			return tokenExists(*o.rename)
		}
		t.Name = *o.rename
	}
	return tx.AlterToken(t)
}

// rotateToken gives a token a new secret. The old one lives on for a while under another name.
func rotateToken(tx catalog.Tx, tokens []catalog.Token, t catalog.Token, o tokenOptions, out *Result) error {
	fresh := t
	life := t.Expires.Sub(t.Created)
	fresh.Created, fresh.Expires = tx.Now(), tx.Now().Add(life)
	hours := rotatedHours
	if o.hours != nil {
		hours = *o.hours
	}
	t.RotatedTo = t.Name
	t.Name += "_ROTATED_" + tx.Now().Format("20060102150405")
	if _, taken := findToken(tokens, t.Name); taken {
		return tokenExists(t.Name)
	}
	if end := tx.Now().Add(time.Duration(hours) * time.Hour); end.Before(t.Expires) {
		t.Expires = end
	}
	if err := tx.AlterToken(t); err != nil {
		return err
	}
	return mintToken(tx, fresh, out, fresh.Name, t.Name)
}

func findToken(tokens []catalog.Token, name string) (catalog.Token, bool) {
	for _, t := range tokens {
		if t.Name == name {
			return t, true
		}
	}
	return catalog.Token{}, false
}

func tokenExists(name string) error {
	return errs.New(errs.Exists, "SQL compilation error:\nObject '%s' already exists.", name).Numbered(2002, "42710")
}

// shownTokens is SHOW USER PROGRAMMATIC ACCESS TOKENS [FOR USER <name>].
const shownTokens = "USER PROGRAMMATIC ACCESS TOKENS"

func showTokens() show {
	sh := nothing("name user_name role_restriction expires_at status comment created_on created_by mins_to_bypass_network_policy_requirement# rotated_to")
	sh.columns[3] = rowset.TimestampColumn("expires_at")
	sh.rows = func(l *listing, scope showScope) error {
		name := catalog.Name{Object: l.w.who.User}
		if in := scope.statement.In; in != nil && in.Name != nil {
			var err error
			if name, err = l.w.qualify(in.Name.Parts, catalog.KindUser); err != nil {
				return err
			}
		}
		user, err := l.guard.Find(catalog.KindUser, name)
		if err != nil {
			return err
		}
		if name.Object != l.w.who.User && !l.guard.Holds(catalog.Ownership, user) {
			return rbac.Insufficient(catalog.KindUser, name)
		}
		for t, err := range l.tx.ProgramTokens(name.Object) {
			if err != nil {
				return err
			}
			l.add(t.Name, func() []*string {
				return []*string{
					textCell(t.Name), textCell(t.User), orNull(t.Role), timeCell(t.Expires), textCell(tokenStatus(t, l.tx.Now())), orNull(t.Comment),
					timeCell(t.Created), textCell(t.CreatedBy), nil, orNull(t.RotatedTo),
				}
			})
		}
		return nil
	}
	return sh
}

func tokenStatus(t catalog.Token, now time.Time) string {
	switch {
	case t.Disabled:
		return "DISABLED"
	case !now.Before(t.Expires):
		return "EXPIRED"
	}
	return "ACTIVE"
}
