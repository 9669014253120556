// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// PutReport implements catalog.Reports.
func (t *tx) PutReport(object catalog.ID, report []byte) error {
	n, err := t.exec(`INSERT INTO report (object, body) SELECT id, $2 FROM object WHERE id = $1
		ON CONFLICT (object) DO UPDATE SET body = excluded.body`, string(object), report)
	if err == nil && n == 0 {
		return errs.New(errs.NotFound, "object %s does not exist", object)
	}
	return err
}

// Report implements catalog.Reports.
func (t *tx) Report(object catalog.ID) ([]byte, error) {
	read := func(row scan) (body []byte, err error) { return body, row(&body) }
	body, found, err := one(t, read, "SELECT body FROM report WHERE object = $1", string(object))
	if err == nil && !found {
		return nil, errs.New(errs.NotFound, "object %s has no report", object)
	}
	return body, err
}
