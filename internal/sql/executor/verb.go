// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"reflect"

	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/rowset"
)

// The statementTypeId of the protocol, as drivers know them.
// https://github.com/snowflakedb/snowflake-jdbc (SFStatementType.java)
const (
	typeSelect         = 0x1000
	typeSession        = 0x4000
	typeAlterSession   = 0x4100
	typeUse            = 0x4300
	typeShow           = 0x4400
	typeDescribe       = 0x4500
	typeList           = 0x4700
	typeTransaction    = 0x5000
	typeDDL            = 0x6000
	typeGet            = 0x7101
	typePut            = 0x7102
	typeRemove         = 0x7103
	typeMultiStatement = 0xA000
)

// verb is how one type of statement is run. A new statement is one more line of verbTable.
type verb struct {
	typeID int
	// effects tells whether the statement changes something: then it is recorded before it runs, and never runs twice.
	effects func(w *work, s ast.Statement) bool
	// columns gives the columns that run will give, and runs nothing.
	columns func(ctx context.Context, w *work, s ast.Statement) ([]rowset.Column, error)
	// run runs it. Rowset is required; TypeID is that of the verb unless set.
	run func(ctx context.Context, w *work, s ast.Statement) (*Result, error)
}

// on makes the entry of one type of statement. columns nil is one text column "status"; effects nil is never.
func on[S ast.Statement](typeID int, effects func(*work, S) bool, columns func(*work, context.Context, S) ([]rowset.Column, error),
	run func(*work, context.Context, S) (*Result, error),
) (reflect.Type, verb) {
	v := verb{
		typeID:  typeID,
		effects: func(w *work, s ast.Statement) bool { return effects != nil && effects(w, s.(S)) },
		columns: func(ctx context.Context, w *work, s ast.Statement) ([]rowset.Column, error) {
			if columns == nil {
				return statusColumns(), nil
			}
			return columns(w, ctx, s.(S))
		},
		run: func(ctx context.Context, w *work, s ast.Statement) (*Result, error) { return run(w, ctx, s.(S)) },
	}
	return reflect.TypeFor[S](), v
}

// writes says that a statement always changes something.
func writes[S ast.Statement](*work, S) bool { return true }

// verbTable lists the statements.
func verbTable() map[reflect.Type]verb {
	table := map[reflect.Type]verb{}
	add := func(t reflect.Type, v verb) { table[t] = v }
	add(on(typeDDL, writes[*ast.Create], nil, (*work).create))
	add(on(typeDDL, writes[*ast.Alter], (*work).alterColumns, (*work).alter))
	add(on(typeDDL, writes[*ast.Drop], nil, (*work).drop))
	add(on(typeDescribe, nil, (*work).describeShape, (*work).describe))
	add(on(typeShow, nil, (*work).showColumns, (*work).show))
	add(on(typeDDL, writes[*ast.Grant], nil, (*work).grant))
	add(on(typeDDL, writes[*ast.GrantRole], nil, (*work).grantRole))
	add(on(typeUse, writes[*ast.Use], nil, (*work).use))
	add(on(typeUse, writes[*ast.UseSecondaryRoles], nil, (*work).useSecondaryRoles))
	add(on(typeAlterSession, writes[*ast.AlterSession], nil, (*work).alterSession))
	add(on(typeSession, writes[*ast.SetVariables], nil, (*work).setVariables))
	add(on(typeSession, writes[*ast.UnsetVariables], nil, (*work).unsetVariables))
	add(on(typeTransaction, nil, nil, (*work).transaction))
	add(on(typeSelect, func(w *work, q *ast.Query) bool { return w.hasEffects(q) }, (*work).queryColumns, (*work).query))
	add(on(typeSelect, callHasEffects, (*work).callColumns, (*work).call))
	add(on(typeSelect, writes[*ast.ExecuteImmediate], (*work).immediateColumns, (*work).executeImmediate))
	add(on(typeSelect, pipeHasEffects, (*work).pipeColumns, (*work).pipe))
	fileVerbs(add)
	return table
}
