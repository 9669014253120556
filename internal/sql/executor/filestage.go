// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"strconv"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/rowset"
)

func stageKind() *kind {
	return &kind{
		kind: catalog.KindStage, plural: "STAGES", label: "Stage area", replace: true, rename: true, comments: true, terse: true,
		properties: []property{
			encryptionProperty(func(s *catalog.StageSpec) *string { return &s.Encryption }),
			{
				name: "DIRECTORY",
				decode: func(_ context.Context, w *work, v ast.Value) (change, error) {
					inner, err := w.mapValue("DIRECTORY", v, "ENABLE", "AUTO_REFRESH", "REFRESH_ON_CREATE")
					if err != nil {
						return nil, err
					}
					word := "FALSE"
					if given, ok := inner["ENABLE"]; ok {
						word, err = w.wordValue("ENABLE", given, []string{"TRUE", "FALSE"})
					}
					return func(o *catalog.Object) { o.Spec.(*catalog.StageSpec).Directory = word == "TRUE" }, err
				},
			},
			// SYSTEM$BIND stages of connectors say how their CSV files look; Firn reads no files of stages as tables.
			ignoredProperty("FILE_FORMAT"), ignoredProperty("COPY_OPTIONS"),
		},
		columns: []column{
			createdOn(), nameColumn(), databaseName(), schemaName(), constant("url", ""), constant("has_credentials", "N"),
			constant("has_encryption_key", "N"), owner(), comment(), null("region"),
			textOf("type", func(_ *listing, o *catalog.Object) *string {
				if o.Session != 0 {
					return textCell("INTERNAL TEMPORARY")
				}
				return textCell("INTERNAL")
			}),
			null("cloud"), null("notification_channel"), null("storage_integration"), null("endpoint"), ownerRoleType(),
			specCell("directory_enabled", func(s *catalog.StageSpec) *string { return yesNo(s.Directory) }),
		},
		describe: stageDescription(),
		actions:  map[string]action{"REFRESH": {}}, // DIRECTORY(@stage) always shows the files as they are
		check: func(o *catalog.Object) error {
			if s := o.Spec.(*catalog.StageSpec); s.Encryption == "" {
				s.Encryption = "SNOWFLAKE_FULL"
			}
			return nil
		},
	}
}

// stageDescription is one row per property, as of a stage that could also hold tables' files.
func stageDescription() *description {
	return &description{
		columns: []rowset.Column{
			rowset.TextColumn("parent_property"), rowset.TextColumn("property"), rowset.TextColumn("property_type"),
			rowset.TextColumn("property_value"), rowset.TextColumn("property_default"),
		},
		rows: func(_ *listing, o *catalog.Object) ([][]*string, error) {
			rows := [][]*string{}
			for _, p := range [][5]string{
				{"STAGE_FILE_FORMAT", "TYPE", "String", "CSV", "CSV"},
				{"STAGE_COPY_OPTIONS", "ON_ERROR", "String", "ABORT_STATEMENT", "ABORT_STATEMENT"},
				{"STAGE_LOCATION", "URL", "String", "", ""},
				{"STAGE_ENCRYPTION", "TYPE", "String", o.Spec.(*catalog.StageSpec).Encryption, "SNOWFLAKE_FULL"},
				{"DIRECTORY", "ENABLE", "Boolean", strconv.FormatBool(o.Spec.(*catalog.StageSpec).Directory), "false"},
				{"DIRECTORY", "AUTO_REFRESH", "Boolean", "false", "false"},
			} {
				rows = append(rows, []*string{textCell(p[0]), textCell(p[1]), textCell(p[2]), textCell(p[3]), textCell(p[4])})
			}
			return rows, nil
		},
	}
}
