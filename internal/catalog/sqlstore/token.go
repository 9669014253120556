// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"iter"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// ProgramTokens implements catalog.ProgramTokens.
func (t *tx) ProgramTokens(user string) iter.Seq2[catalog.Token, error] {
	return list(t, readToken, "SELECT "+string(tokenColumns)+` FROM token
		WHERE user_name <> '' AND user_name = $1 AND use = 'program' ORDER BY name, hash`, user)
}

// AlterToken implements catalog.ProgramTokens.
func (t *tx) AlterToken(k catalog.Token) error {
	n, err := t.exec(`UPDATE token SET name = $2, role = $3, expires = $4, comment = $5, created_by = $6, disabled = $7, rotated_to = $8
		WHERE hash = $1`, k.Hash, k.Name, k.Role, micros(k.Expires), k.Comment, k.CreatedBy, number(k.Disabled), k.RotatedTo)
	if err == nil && n == 0 {
		return errs.New(errs.NotFound, "the token does not exist")
	}
	return err
}

// DeleteToken implements catalog.ProgramTokens.
func (t *tx) DeleteToken(hash string) error {
	n, err := t.exec("DELETE FROM token WHERE hash = $1", hash)
	if err == nil && n == 0 {
		return errs.New(errs.NotFound, "the token does not exist")
	}
	return err
}
