// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"reflect"

	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/rowset"
)

// fileVerbs are the statements about files and jobs, for verbTable.
func fileVerbs(add func(reflect.Type, verb)) {
	add(on(typePut, nil, shaped[*ast.Put](putColumns()), (*work).put))
	add(on(typeGet, nil, shaped[*ast.Get](getColumns()), (*work).get))
	add(on(typeList, nil, shaped[*ast.List](listColumns()), (*work).list))
	add(on(typeRemove, writes[*ast.Remove], shaped[*ast.Remove](removeColumns()), (*work).remove))
	add(on(typeSelect, writes[*ast.CopyFiles], (*work).copyColumns, (*work).copyFiles))
	add(on(typeDDL, writes[*ast.ExecuteJobService], nil, (*work).executeJobService))
}

// shaped says that a statement always has the same columns.
func shaped[S ast.Statement](columns []rowset.Column) func(*work, context.Context, S) ([]rowset.Column, error) {
	return func(*work, context.Context, S) ([]rowset.Column, error) { return columns, nil }
}

// jobFunctions are the system functions about jobs and services, for functionTable.
func jobFunctions() map[string]function {
	return map[string]function{
		"SYSTEM$EXECUTE_ML_JOB":                  changing(textFunction(4, 4, executeMLJob)),
		"SYSTEM$GET_ML_JOB_RUNTIME":              textFunction(1, 2, mlJobRuntime),
		"SYSTEM$NOTEBOOKS_FIND_LABELED_RUNTIMES": textFunction(0, 0, labeledRuntimes),
		"SYSTEM$GET_SERVICE_LOGS":                textFunction(3, 7, serviceLogs),
		"SYSTEM$GET_SERVICE_STATUS":              textFunction(1, 2, serviceStatus),
	}
}

// jobRelations are the table functions about jobs and files, for tableFunctionTable.
func jobRelations() map[string]relation {
	return map[string]relation{jobHistoryName: jobHistory(), "DIRECTORY": directoryRelation()}
}

// jobLogRelations are the table forms of methods of services, for tableMethodTable.
func jobLogRelations() map[string]relation {
	return map[string]relation{"SPCS_GET_LOGS": logRelation()}
}
