// SPDX-License-Identifier: Apache-2.0

package query_test

import (
	"context"
	"fmt"
	"testing"

	"firn.dev/firn/internal/sql/query"
	"firn.dev/firn/internal/sql/rowset"
)

func BenchmarkSelectOne(b *testing.B) {
	engine := newEngine(b)
	q := parse(b, "select 1")
	env := environment("select 1")
	for b.Loop() {
		if _, err := engine.Run(b.Context(), q, env); err != nil {
			b.Fatal(err)
		}
	}
}

// relationsOf gives its rows as RESULT_SCAN.
type relationsOf struct {
	relations
	rows *rowset.Rowset
}

func (r relationsOf) Function(context.Context, query.TableCall, bool) (*rowset.Rowset, error) {
	return r.rows, nil
}

func tenThousand() *rowset.Rowset {
	r := shows()
	rows := r.Rows
	r.Rows = nil
	for i := range 10000 {
		row := append([]*string{}, rows[i%3]...)
		row[1] = cell(fmt.Sprintf("N%d", i))
		r.Rows = append(r.Rows, row)
	}
	return r
}

func BenchmarkResultScan(b *testing.B) {
	engine := newEngine(b)
	rows := tenThousand()
	for name, text := range map[string]string{
		"filter":  `SELECT "name" FROM TABLE(RESULT_SCAN('x')) WHERE "status" = 'DONE'`,
		"time":    `SELECT "name" FROM TABLE(RESULT_SCAN('x')) WHERE "created_on" < dateadd('day', -1, current_timestamp())`,
		"like":    `SELECT "name" FROM TABLE(RESULT_SCAN('x')) WHERE "name" ilike 'n99%' ORDER BY 1`,
		"count":   `SELECT count(1) FROM (SELECT * FROM TABLE(RESULT_SCAN('x')))`,
		"all":     `SELECT * FROM TABLE(RESULT_SCAN('x'))`,
		"ordered": `SELECT * FROM TABLE(RESULT_SCAN('x')) ORDER BY "created_on" DESC NULLS LAST LIMIT 5`,
		"group":   `SELECT "owner", sum("target_instances"), max("name") FROM TABLE(RESULT_SCAN('x')) GROUP BY 1`,
	} {
		b.Run(name, func(b *testing.B) {
			q := parse(b, text)
			env := environment(text)
			env.Relations = relationsOf{rows: rows}
			for b.Loop() {
				if _, err := engine.Run(b.Context(), q, env); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
