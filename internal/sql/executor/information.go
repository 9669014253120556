// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"maps"
	"slices"
	"strings"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/rbac"
	"firn.dev/firn/internal/sql/query"
	"firn.dev/firn/internal/sql/rowset"
)

// viewTable lists the views of every INFORMATION_SCHEMA; a new one is one more entry.
func viewTable() map[string]relation {
	table := map[string]relation{
		"DATABASES": objectView(catalog.KindDatabase, []column{
			upper("DATABASE_NAME", nameColumn()), upper("DATABASE_OWNER", owner()), upper("IS_TRANSIENT", constant("", "NO")),
			upper("COMMENT", comment()), upper("CREATED", createdOn()), upper("LAST_ALTERED", updatedOn()),
		}),
		"SCHEMATA": objectView(catalog.KindSchema, []column{
			upper("CATALOG_NAME", databaseName()), upper("SCHEMA_NAME", nameColumn()), upper("SCHEMA_OWNER", owner()),
			upper("COMMENT", comment()), upper("CREATED", createdOn()), upper("LAST_ALTERED", updatedOn()),
		}),
		"STAGES": objectView(catalog.KindStage, []column{
			upper("STAGE_CATALOG", databaseName()), upper("STAGE_SCHEMA", schemaName()), upper("STAGE_NAME", nameColumn()),
			upper("STAGE_TYPE", constant("", "Internal Named")), upper("STAGE_OWNER", owner()), upper("COMMENT", comment()),
			upper("CREATED", createdOn()), upper("LAST_ALTERED", updatedOn()),
		}),
		"IMAGE_EVENTS": imageEvents(), "CUSTOM_RUNTIME_ENVIRONMENT_HISTORY": environmentHistory(),
		"APPLICABLE_ROLES": {columns: textColumns("GRANTEE ROLE_NAME ROLE_OWNER IS_GRANTABLE"), rows: applicableRoles},
		"ENABLED_ROLES":    {columns: textColumns("ROLE_NAME ROLE_OWNER"), rows: enabledRoles},
	}
	table["COLUMNS"] = columnsView(table)
	return table
}

// tableFunctionTable lists the table functions; a new one is one more entry.
func tableFunctionTable() map[string]relation {
	history := relation{columns: historyColumns(), rows: queryHistory}
	table := map[string]relation{
		"INFORMATION_SCHEMA.QUERY_HISTORY":            history,
		"INFORMATION_SCHEMA.QUERY_HISTORY_BY_SESSION": history,
		"INFORMATION_SCHEMA.QUERY_HISTORY_BY_USER":    history,
	}
	maps.Copy(table, jobRelations())
	return table
}

// tableMethodTable lists the methods that give tables: TABLE(job!METHOD(...)).
func tableMethodTable() map[string]relation { return jobLogRelations() }

// upper is a column of SHOW under the name that a view gives it.
func upper(name string, c column) column {
	c.Name = name
	return c
}

// objectView makes a view over the objects of a kind that the role may know of.
func objectView(kind catalog.Kind, columns []column) relation {
	return relation{
		columns: headers(columns),
		rows: func(ctx context.Context, w *work, call query.TableCall) ([][]*string, error) {
			in := catalog.Name{}
			if database, _, written := strings.Cut(call.Name, "."+rbac.InformationSchema+"."); written && kind != catalog.KindDatabase {
				in.Object = database
			} else if kind != catalog.KindDatabase {
				in.Object = w.session.Database
			}
			return w.readers(ctx, func(l *listing) error {
				l.guard.Preload()
				for o, err := range l.tx.Objects(kind, in) {
					if err != nil {
						return err
					}
					if l.guard.Visible(o) && !l.add(o.Name.Object, func() []*string { return row(l, columns, o) }) {
						break
					}
				}
				return nil
			})
		},
	}
}

// columnsView is INFORMATION_SCHEMA.COLUMNS: the columns of the views themselves.
func columnsView(views map[string]relation) relation {
	columns := append(textColumns("TABLE_CATALOG TABLE_SCHEMA TABLE_NAME COLUMN_NAME"), rowset.NumberColumn("ORDINAL_POSITION"))
	columns = append(columns, textColumns("IS_NULLABLE DATA_TYPE")...)
	return relation{
		columns: columns,
		rows: func(_ context.Context, w *work, call query.TableCall) ([][]*string, error) {
			database, _, written := strings.Cut(call.Name, "."+rbac.InformationSchema+".")
			if !written {
				database = w.session.Database
			}
			var rows [][]*string
			for _, view := range slices.Sorted(maps.Keys(views)) {
				for i, c := range views[view].columns {
					rows = append(rows, []*string{
						orNull(database), textCell(rbac.InformationSchema), textCell(view), textCell(c.Name), numberCell(i + 1), textCell("YES"),
						textCell(strings.ToUpper(string(c.Type))),
					})
				}
			}
			return rows, nil
		},
	}
}

// usableRoles lists the roles that the session could take.
func (w *work) usableRoles(g *rbac.Guard) []string {
	if w.who.User == "" {
		return []string{w.who.Role}
	}
	return slices.Sorted(maps.Keys(g.Graph().OfUser(w.who.User)))
}

func roleOwner(tx catalog.Tx, role string) (*string, error) {
	o, err := tx.Object(catalog.KindRole, catalog.Name{Object: role})
	if errs.Is(err, errs.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return orNull(o.Owner), nil
}

func applicableRoles(ctx context.Context, w *work, _ query.TableCall) ([][]*string, error) {
	return w.readers(ctx, func(l *listing) error {
		for _, role := range w.usableRoles(l.guard) {
			by, err := roleOwner(l.tx, role)
			if err != nil {
				return err
			}
			l.add(role, func() []*string { return []*string{textCell(w.session.User), textCell(role), by, textCell("NO")} })
		}
		return nil
	})
}

func enabledRoles(ctx context.Context, w *work, _ query.TableCall) ([][]*string, error) {
	return w.readers(ctx, func(l *listing) error {
		for _, role := range w.usableRoles(l.guard) {
			if !l.guard.Has(role) {
				continue
			}
			by, err := roleOwner(l.tx, role)
			if err != nil {
				return err
			}
			l.add(role, func() []*string { return []*string{textCell(role), by} })
		}
		return nil
	})
}

func historyColumns() []rowset.Column {
	columns := textColumns("QUERY_ID QUERY_TEXT DATABASE_NAME SCHEMA_NAME QUERY_TYPE")
	columns = append(columns, rowset.NumberColumn("SESSION_ID"))
	columns = append(columns, textColumns("USER_NAME ROLE_NAME WAREHOUSE_NAME QUERY_TAG EXECUTION_STATUS ERROR_CODE ERROR_MESSAGE")...)
	return append(columns, rowset.TimestampColumn("START_TIME"), rowset.TimestampColumn("END_TIME"), rowset.NumberColumn("TOTAL_ELAPSED_TIME"),
		rowset.NumberColumn("ROWS_PRODUCED"))
}

// queryHistory is INFORMATION_SCHEMA.QUERY_HISTORY and its two relatives.
func queryHistory(ctx context.Context, w *work, call query.TableCall) ([][]*string, error) {
	f := catalog.StatementFilter{Limit: 100}
	if strings.HasSuffix(call.Name, "_BY_SESSION") {
		f.Session = w.session.ID
	}
	if strings.HasSuffix(call.Name, "_BY_USER") {
		f.User = w.session.User
	}
	for i, a := range call.Args {
		if err := historyArgument(&f, a, i, call.Name); err != nil {
			return nil, err
		}
	}
	statements, err := w.History(ctx, w.session, f)
	if err != nil {
		return nil, err
	}
	rows := make([][]*string, 0, len(statements))
	for _, st := range statements {
		rows = append(rows, w.historyRow(st))
	}
	return rows, nil
}

func (w *work) historyRow(st *catalog.Statement) []*string {
	code := (*string)(nil)
	if st.ErrorCode != 0 {
		code = numberCell(st.ErrorCode)
	}
	end := st.Ended
	if end.IsZero() {
		end = w.options.Now()
	}
	kind, _, _ := strings.Cut(strings.TrimSpace(strings.ToUpper(st.Text)), " ")
	return []*string{
		textCell(st.ID), textCell(st.Text), orNull(st.Database), orNull(st.Schema), textCell(kind), numberCell(st.Session), textCell(st.User),
		textCell(st.Role), orNull(st.Warehouse), textCell(st.Tag), textCell(string(st.Status)), code, orNull(st.Message), timeCell(st.Started),
		timeCell(st.Ended), numberCell(end.Sub(st.Started).Milliseconds()), numberCell(st.Rows),
	}
}

func historyArgument(f *catalog.StatementFilter, a query.Argument, i int, name string) error {
	known := true
	switch a.Name {
	case "RESULT_LIMIT":
		n, ok := a.Value.Int()
		known = ok && n > 0 && n <= mostRows
		f.Limit = int(n)
	case "SESSION_ID":
		f.Session, known = a.Value.Int()
	case "USER_NAME":
		f.User = strings.ToUpper(a.Value.Text())
	case "END_TIME_RANGE_START":
		f.StartedSince, known = a.Value.Time()
	case "END_TIME_RANGE_END":
		f.StartedUntil, known = a.Value.Time()
	default:
		return errs.New(errs.Invalid, "SQL compilation error:\ninvalid argument %d '%s' of %s; known are END_TIME_RANGE_END, END_TIME_RANGE_START, "+
			"RESULT_LIMIT, SESSION_ID, USER_NAME", i+1, a.Name, name).Numbered(1015, "22023")
	}
	if !known {
		return badValue(a.Name, a.Value.Text(), "a value of its type; RESULT_LIMIT is from 1 to 10000")
	}
	return nil
}
