// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/session"
	"firn.dev/firn/internal/sql/ast"
)

// accountParameters are the parameters that only the account has, as SHOW PARAMETERS IN ACCOUNT describes them.
func accountParameters() []session.Parameter {
	days := func(name string, otherwise time.Duration, description string) session.Parameter {
		return session.Parameter{Name: name, Default: strconv.Itoa(int(otherwise.Hours() / 24)), Type: "NUMBER", Description: description}
	}
	return []session.Parameter{
		{Name: "EVENT_TABLE", Type: "STRING", Description: "table that events are written to"},
		policyParameter(),
		days(catalog.JobHoldParameter, catalog.JobImageHold, "days for which a job that has ended holds its image"),
		days(catalog.HistoryHoldParameter, catalog.EnvironmentHistoryHold,
			"days for which the image of an environment that was replaced or dropped is held"),
	}
}

// ofAccountOnly tells whether only the account has the parameter.
func ofAccountOnly(name string) bool {
	return slices.ContainsFunc(accountParameters(), func(p session.Parameter) bool { return p.Name == name })
}

// sessionMaySet makes sure that ALTER SESSION sets nothing that rules the account. EVENT_TABLE is left to sessions, as clients set it.
func sessionMaySet(set []ast.Property) error {
	for _, p := range set {
		if p.Name != "EVENT_TABLE" && ofAccountOnly(p.Name) {
			return errs.New(errs.Invalid, "SQL compilation error:\n%s is a parameter of the account: write ALTER ACCOUNT SET", p.Name).Numbered(1008, "22023")
		}
	}
	return nil
}

// accountChange checks what ALTER ACCOUNT sets, and gives what the audit trail says of the statement. set holds the values of the
// statement's parameters.
//
// Errors: Invalid, of a policy with line and key.
func (w *work) accountChange(s *ast.Alter, set map[string]string) (string, error) {
	var details []string
	policy, err := w.policyChange(s, set)
	if err != nil {
		return "", err
	}
	if policy != "" {
		details = append(details, policy)
	}
	for _, name := range []string{catalog.JobHoldParameter, catalog.HistoryHoldParameter} {
		if text, ok := set[name]; ok {
			days, err := strconv.Atoi(text)
			if err != nil || days < 0 || days > catalog.MaxHoldDays {
				return "", badValue(name, text, fmt.Sprintf("a whole number of days from 0 to %d", catalog.MaxHoldDays))
			}
			details = append(details, name+" set to "+text)
		}
		if slices.Contains(s.Unset, name) {
			details = append(details, name+" unset")
		}
	}
	if len(details) == 0 {
		return "parameters", nil
	}
	return strings.Join(details, ", "), nil
}
