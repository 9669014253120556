// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/rbac"
	"firn.dev/firn/internal/sql/query"
	"firn.dev/firn/internal/sql/rowset"
)

// jobHistoryName is the table function that lists jobs, dropped ones too.
// https://docs.snowflake.com/en/sql-reference/functions/get_job_history
const jobHistoryName = "SNOWFLAKE.SPCS.GET_JOB_HISTORY"

// historyLimit is how many jobs GET_JOB_HISTORY gives at most; the newest come first. The original gives 100 unless asked for more,
// but clients without a limit mean all.
const historyLimit = 10_000

// historyAge is how far back the history goes.
const historyAge = 30 * 24 * time.Hour

func jobHistory() relation {
	at := func(name string) rowset.Column { return rowset.Column{Name: name, Type: rowset.TimestampLTZ, Scale: 6} }
	object := func(name string) rowset.Column { return rowset.Column{Name: name, Type: rowset.Object} }
	return relation{
		columns: []rowset.Column{
			rowset.TextColumn("QUERY_ID"), rowset.NumberColumn("ID"), rowset.TextColumn("NAME"), rowset.TextColumn("DATABASE_NAME"),
			rowset.TextColumn("SCHEMA_NAME"), at("CREATED_TIME"), at("COMPLETED_TIME"), at("DELETED_TIME"), rowset.TextColumn("STATUS"),
			rowset.TextColumn("MESSAGE"), object("INSTANCE_STATUSES"), rowset.TextColumn("COMPUTE_POOL_NAME"), rowset.TextColumn("OWNER"),
			rowset.TextColumn("OWNER_ROLE_TYPE"), object("PARAMETERS"), object("MANAGING_OBJECT"),
		},
		rows: historyRows,
	}
}

func historyRows(ctx context.Context, w *work, call query.TableCall) ([][]*string, error) {
	args, err := namedArguments(call, "CREATED_TIME_START", "CREATED_TIME_END", "RESULT_LIMIT")
	if err != nil {
		return nil, err
	}
	f := catalog.JobFilter{Limit: historyLimit}
	if f.CreatedSince, err = timeArgument(args, "CREATED_TIME_START"); err != nil {
		return nil, err
	}
	if f.CreatedUntil, err = timeArgument(args, "CREATED_TIME_END"); err != nil {
		return nil, err
	}
	if v, given := args["RESULT_LIMIT"]; given {
		n, ok := v.Int()
		if !ok || n < 1 || n > historyLimit {
			return nil, errs.New(errs.Invalid, "SQL compilation error:\ninvalid value '%s' for RESULT_LIMIT; expected 1 to %d", v.Text(), historyLimit).
				Numbered(1015, "22023")
		}
		f.Limit = int(n)
	}
	if oldest := w.started.Add(-historyAge); f.CreatedSince.Before(oldest) {
		f.CreatedSince = oldest
	}
	var rows [][]*string
	err = w.view(ctx, func(tx catalog.Tx, g *rbac.Guard) error {
		rows = [][]*string{}
		f.Owners = slices.Sorted(maps.Keys(g.Graph().Inherited(g.Primary())))
		for j, err := range tx.FindJobs(f) {
			if err != nil {
				return err
			}
			rows = append(rows, historyRow(j))
		}
		return nil
	})
	return rows, err
}

func historyRow(j *catalog.Job) []*string {
	at := func(t time.Time) *string {
		if t.IsZero() {
			return nil
		}
		cell := query.TimestampValue(t).Cell()
		short := (*cell)[:len(*cell)-3] // microseconds
		return &short
	}
	statuses := map[string]string{}
	for _, i := range instances(j) {
		statuses[strconv.Itoa(i.Index)] = i.Status
	}
	parameters := j.Parameters
	if parameters == nil {
		parameters = map[string]any{}
	}
	return []*string{
		orNull(j.Query), textCell(jobNumber(j.ID)), textCell(j.Name), orNull(j.Database), orNull(j.Schema), at(j.Created), at(j.Completed), at(j.Deleted),
		textCell(string(j.State)), orNull(j.Message), jsonCell(statuses), textCell(j.Pool), textCell(j.Owner), textCell("ROLE"), jsonCell(parameters), nil,
	}
}

// jobNumber is a job's id as a number: the first 60 bits of it, time first.
func jobNumber(id catalog.ID) string {
	digits := strings.ReplaceAll(string(id), "-", "")
	n, err := strconv.ParseInt(digits[:min(15, len(digits))], 16, 64)
	if err != nil {
		return "0"
	}
	return strconv.FormatInt(n, 10)
}
