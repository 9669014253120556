// SPDX-License-Identifier: Apache-2.0

package parser_test

import (
	"fmt"

	"firn.dev/firn/internal/sql/parser"
)

func ExampleParse() {
	parsed, err := parser.Parse("create user ann password = 'hunter2' default_role = r; show roles like ?")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range parsed {
		fmt.Println(p.Binds, p.Statement)
	}
	// Output:
	// 0 CREATE USER ann PASSWORD = '***' DEFAULT_ROLE = r
	// 1 SHOW ROLES LIKE ?
}
