// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"maps"
	"strconv"
	"strings"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/rbac"
	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/query"
	"firn.dev/firn/internal/sql/rowset"
)

// function is a scalar function that depends on the session or does something: SELECT f(...) and CALL f(...).
type function struct {
	least, most int  // number of arguments
	effects     bool // it changes something, so a statement that calls it is recorded before it runs
	result      rowset.Column
	run         func(ctx context.Context, w *work, args []query.Value) (query.Value, error)
	// method runs a method of an object, when the function is one.
	method func(ctx context.Context, w *work, object catalog.Name, args []query.Value) (query.Value, error)
}

// textFunction makes a function that gives a text.
func textFunction(least, most int, run func(ctx context.Context, w *work, args []query.Value) (query.Value, error)) function {
	return function{least: least, most: most, result: rowset.TextColumn(""), run: run}
}

// always makes a CURRENT_... function that is never NULL.
func always(get func(w *work) string) function {
	f := current(get)
	f.result.NotNull = true
	return f
}

// current makes a CURRENT_... function: a text of the session, NULL when it is empty.
func current(get func(w *work) string) function {
	return textFunction(0, 0, func(_ context.Context, w *work, _ []query.Value) (query.Value, error) {
		if text := get(w); text != "" {
			return query.TextValue(text), nil
		}
		return query.NullValue(rowset.TextColumn("")), nil
	})
}

// fixed makes a function that always gives the same text.
func fixed(text string) function { return current(func(*work) string { return text }) }

// changing marks a function as one that changes something.
func changing(f function) function {
	f.effects = true
	return f
}

// functionTable lists the functions; a new one is one more line.
func functionTable() map[string]function {
	table := map[string]function{
		"CURRENT_ROLE":              always(func(w *work) string { return w.session.Role }),
		"CURRENT_USER":              always(func(w *work) string { return w.session.User }),
		"CURRENT_DATABASE":          current(func(w *work) string { return w.session.Database }),
		"CURRENT_SCHEMA":            current(func(w *work) string { return w.session.Schema }),
		"CURRENT_WAREHOUSE":         current(func(w *work) string { return w.session.Warehouse }),
		"CURRENT_ACCOUNT":           always(func(w *work) string { return w.options.Account }),
		"CURRENT_ACCOUNT_NAME":      always(func(w *work) string { return w.options.Account }),
		"CURRENT_ORGANIZATION_NAME": always(func(w *work) string { return w.options.Account }),
		"CURRENT_VERSION":           always(func(w *work) string { return w.options.Version }),
		"CURRENT_SESSION":           always(func(w *work) string { return strconv.FormatInt(w.session.ID, 10) }),
		"CURRENT_CLIENT":            always(func(w *work) string { return w.session.Client }),
		"CURRENT_STATEMENT":         always(func(w *work) string { return w.text }),
		"CURRENT_REGION":            fixed(regionName),
		"CURRENT_IP_ADDRESS":        fixed("127.0.0.1"),
		"CURRENT_TRANSACTION":       fixed(""),
		"CURRENT_ROLE_TYPE":         fixed("ROLE"),
		"CURRENT_SECONDARY_ROLES":   textFunction(0, 0, currentSecondaryRoles),
		"CURRENT_AVAILABLE_ROLES":   textFunction(0, 0, availableRoles),
		"CURRENT_SCHEMAS": current(func(w *work) string {
			if w.session.Schema == "" {
				return "[]"
			}
			return `["` + w.session.Database + "." + w.session.Schema + `"]`
		}),
		"IS_ROLE_IN_SESSION": {least: 1, most: 1, result: rowset.Column{Type: rowset.Boolean}, run: roleInSession},
		"LAST_QUERY_ID":      textFunction(0, 1, lastQueryID),

		"SYSTEM$WAIT":                           textFunction(1, 2, wait),
		"SYSTEM$CANCEL_QUERY":                   changing(textFunction(1, 1, cancelQuery)),
		"SYSTEM$CANCEL_ALL_QUERIES":             changing(textFunction(1, 1, cancelAllQueries)),
		"SYSTEM$GET_COMPUTE_POOL_STATUS":        textFunction(1, 1, poolStatus),
		"SYSTEM$REGISTRY_LIST_IMAGES":           textFunction(1, 1, listImages),
		"SYSTEM$GET_RUNTIME_ENVIRONMENT_REPORT": textFunction(1, 1, environmentReport),
		"SYSTEM$GET_RUNTIME_ENVIRONMENT_POLICY": textFunction(0, 0, environmentPolicy),
		"SYSTEM$CLIENT_VERSION_INFO":            fixed("[]"),
		"SYSTEM$ALLOWLIST":                      fixed("[]"),
		"SYSTEM$BEHAVIOR_CHANGE_BUNDLE_STATUS": textFunction(1, 1, func(context.Context, *work, []query.Value) (query.Value, error) {
			return query.TextValue("DISABLED"), nil
		}),
		"SYSTEM$GET_DEFAULT_PYTHON_ARTIFACT_REPOSITORY": textFunction(1, 3, func(context.Context, *work, []query.Value) (query.Value, error) {
			return query.NullValue(rowset.TextColumn("")), nil
		}),
		"SYSTEM$RETURN_CURRENT_ORG_NAME": current(func(w *work) string { return w.options.Account }),
		"SYSTEM$TYPEOF":                  textFunction(1, 1, typeOf),
	}
	maps.Copy(table, jobFunctions())
	return table
}

// methodTable lists the methods of objects: db.schema.job!METHOD(...).
func methodTable() map[string]function { return serviceMethods() }

// functionOf finds a function or method by its canonical name.
func (e *Executor) functionOf(name string, object *ast.Name) (function, bool) {
	if object != nil {
		f, ok := e.methods[name]
		return f, ok
	}
	f, ok := e.functions[name]
	return f, ok
}

// invoke calls a function with its arguments.
//
// Errors: Invalid (938, 939) for too few or too many arguments; what the function returns.
func (w *work) invoke(ctx context.Context, f function, name string, object *ast.Name, args []query.Value) (query.Value, error) {
	switch {
	case len(args) < f.least:
		return query.Value{}, errs.New(errs.Invalid, "SQL compilation error:\nnot enough arguments for function [%s], expected %d, got %d", name, f.least, len(args)).
			Numbered(938, "22023")
	case len(args) > f.most:
		return query.Value{}, errs.New(errs.Invalid, "SQL compilation error:\ntoo many arguments for function [%s] expected %d, got %d", name, f.most, len(args)).
			Numbered(939, "22023")
	}
	if object == nil {
		return f.run(ctx, w, args)
	}
	if object.Resolved == (catalog.Name{}) {
		if err := w.resolve(object); err != nil {
			return query.Value{}, err
		}
	}
	return f.method(ctx, w, object.Resolved, args)
}

// call runs CALL f(...): one row, one column named after the function.
func (w *work) call(ctx context.Context, s *ast.Call) (*Result, error) {
	f, ok := w.functionOf(s.Function, s.Object)
	if !ok {
		return nil, unknownFunction(s.Function)
	}
	args := make([]query.Value, len(s.Args))
	for i, a := range s.Args {
		if a.Name != "" {
			return nil, errs.New(errs.Invalid, "SQL compilation error:\nfunction [%s] has no argument named %s: give its arguments in their order", s.Function, a.Name).
				Numbered(1015, "22023")
		}
		v, err := w.scalar(ctx, a.Value)
		if err != nil {
			return nil, err
		}
		args[i] = v
	}
	v, err := w.invoke(ctx, f, s.Function, s.Object, args)
	if err != nil {
		return nil, err
	}
	return &Result{Rowset: &rowset.Rowset{Columns: callShape(f, s), Rows: [][]*string{{v.Cell()}}}}, nil
}

func callShape(f function, s *ast.Call) []rowset.Column {
	column := f.result
	column.Name = s.Function
	return []rowset.Column{column}
}

// callColumns gives the column of CALL without running it.
func (w *work) callColumns(_ context.Context, s *ast.Call) ([]rowset.Column, error) {
	f, ok := w.functionOf(s.Function, s.Object)
	if !ok {
		return nil, unknownFunction(s.Function)
	}
	return callShape(f, s), nil
}

func unknownFunction(name string) error {
	return errs.New(errs.Invalid, "SQL compilation error:\nUnknown function %s", name).Numbered(2140, "42601")
}

// hasEffects tells whether a query calls a function that changes something.
func (w *work) hasEffects(node any) bool {
	found := false
	ast.Inspect(node, func(n any) bool {
		switch n := n.(type) {
		case *ast.Function:
			parts := make([]string, len(n.Name))
			for i, p := range n.Name {
				parts[i] = p.Canonical()
			}
			found = found || w.functions[strings.Join(parts, ".")].effects
		case *ast.Method:
			found = found || w.methods[n.Name].effects
		}
		return !found
	})
	return found
}

func callHasEffects(w *work, s *ast.Call) bool {
	f, ok := w.functionOf(s.Function, s.Object)
	return ok && f.effects
}

// textArg gives an argument as text.
//
// Errors: Invalid for NULL.
func textArg(args []query.Value, i int) (string, error) {
	if i >= len(args) || args[i].IsNull() {
		return "", errs.New(errs.Invalid, "SQL compilation error:\nargument %d needs to be a text, found NULL", i+1).Numbered(1015, "22023")
	}
	return args[i].Text(), nil
}

// nameArg gives the object that an argument names.
func (w *work) nameArg(args []query.Value, i int, kind catalog.Kind) (catalog.Name, error) {
	text, err := textArg(args, i)
	if err != nil {
		return catalog.Name{}, err
	}
	return w.parseName(text, kind)
}

// currentSecondaryRoles is CURRENT_SECONDARY_ROLES(): JSON with the mode.
func currentSecondaryRoles(_ context.Context, w *work, _ []query.Value) (query.Value, error) {
	if w.session.SecondaryRoles != "ALL" {
		return query.TextValue(`{"roles":"","value":""}`), nil
	}
	return query.TextValue(`{"roles":"","value":"ALL"}`), nil
}

// availableRoles is CURRENT_AVAILABLE_ROLES(): a JSON list.
func availableRoles(ctx context.Context, w *work, _ []query.Value) (query.Value, error) {
	var out query.Value
	err := w.view(ctx, func(_ catalog.Tx, g *rbac.Guard) error {
		out = query.TextValue(*jsonCell(w.usableRoles(g)))
		return nil
	})
	return out, err
}

// roleInSession is IS_ROLE_IN_SESSION(role).
func roleInSession(ctx context.Context, w *work, args []query.Value) (query.Value, error) {
	role, err := textArg(args, 0)
	if err != nil {
		return query.Value{}, err
	}
	var out query.Value
	err = w.view(ctx, func(_ catalog.Tx, g *rbac.Guard) error {
		out = query.BoolValue(g.Has(role))
		return nil
	})
	return out, err
}

// lastQueryID is LAST_QUERY_ID([n]): -1 is the last statement of the session, 1 the first.
func lastQueryID(ctx context.Context, w *work, args []query.Value) (query.Value, error) {
	n := int64(-1)
	if len(args) == 1 {
		var ok bool
		if n, ok = args[0].Int(); !ok {
			return query.Value{}, errs.New(errs.Invalid, "SQL compilation error:\nLAST_QUERY_ID takes a whole number").Numbered(1015, "22023")
		}
	}
	var ids []string
	err := w.options.Catalog.View(ctx, func(tx catalog.Tx) error {
		limit := mostRows
		if n < 0 {
			limit = int(min(-n, mostRows)) + 1 // the statement that asks may be there already
		}
		for s, err := range tx.History(catalog.StatementFilter{Session: w.session.ID, Limit: limit}) {
			if err != nil {
				return err
			}
			if s.ID != w.id {
				ids = append(ids, s.ID)
			}
		}
		return nil
	})
	at := -n - 1
	if n > 0 {
		at = int64(len(ids)) - n
	}
	if err != nil || n == 0 || at < 0 || at >= int64(len(ids)) {
		return query.NullValue(rowset.TextColumn("")), err
	}
	return query.TextValue(ids[at]), nil
}

// wait is SYSTEM$WAIT(n [, unit]).
func wait(ctx context.Context, w *work, args []query.Value) (query.Value, error) {
	n, ok := args[0].Int()
	unit := "SECONDS"
	if len(args) == 2 {
		unit = strings.ToUpper(args[1].Text())
	}
	length, known := map[string]time.Duration{
		"MILLISECONDS": time.Millisecond, "SECONDS": time.Second, "MINUTES": time.Minute, "HOURS": time.Hour, "DAYS": 24 * time.Hour,
	}[unit]
	if !ok || n < 0 || !known {
		return query.Value{}, errs.New(errs.Invalid, "SQL compilation error:\nSYSTEM$WAIT takes a whole number, and DAYS, HOURS, MINUTES, SECONDS or MILLISECONDS").
			Numbered(1015, "22023")
	}
	timer := time.NewTimer(time.Duration(n) * length)
	defer timer.Stop()
	select {
	case <-timer.C:
		return query.TextValue("waited " + strconv.FormatInt(n, 10) + " " + strings.ToLower(unit)), nil
	case <-ctx.Done():
		return query.Value{}, context.Cause(ctx)
	}
}

// typeOf is SYSTEM$TYPEOF(value).
func typeOf(_ context.Context, _ *work, args []query.Value) (query.Value, error) {
	c := args[0].Column
	name := strings.ToUpper(string(c.Type))
	switch c.Type {
	case rowset.Fixed:
		name = "NUMBER(" + strconv.Itoa(c.Precision) + "," + strconv.Itoa(c.Scale) + ")"
	case rowset.Text:
		name = "VARCHAR(" + strconv.Itoa(c.Length) + ")"
	case rowset.Real:
		name = "FLOAT"
	}
	return query.TextValue(name), nil
}
