// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"strings"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/sql/rowset"
)

// nothing is a SHOW of what Firn does not have: its columns, and no rows. A name that ends in # is a number, one that ends in
// _on a time.
func nothing(columns string) show {
	sh := show{level: catalog.InSchema, rows: func(*listing, showScope) error { return nil }}
	for _, name := range strings.Fields(columns) {
		column := rowset.TextColumn(name)
		if plain, number := strings.CutSuffix(name, "#"); number {
			column = rowset.NumberColumn(plain)
		} else if strings.HasSuffix(name, "_on") {
			column = rowset.TimestampColumn(name)
		}
		sh.columns = append(sh.columns, column)
	}
	return sh
}

// emptyShows lists what clients ask for and Firn does not have, with its columns in their order.
// https://docs.snowflake.com/en/sql-reference/sql/show
func emptyShows() map[string]string {
	return map[string]string{
		"CODE BUNDLES": "created_on name database_name schema_name owner comment",
		"COLUMNS": "table_name schema_name column_name data_type null? default kind expression comment database_name " +
			"autoincrement schema_evolution_record",
		"DATABASE ROLES": "created_on name is_default is_current is_inherited granted_to_roles granted_to_database_roles " +
			"granted_database_roles owner comment owner_role_type",
		"FILE FORMATS": "created_on name database_name schema_name type owner comment format_options owner_role_type",
		"FUNCTIONS": "created_on name schema_name is_builtin is_aggregate is_ansi min_num_arguments# max_num_arguments# arguments " +
			"description catalog_name is_table_function valid_for_clustering is_secure secrets " +
			"external_access_integrations is_external_function language is_memoizable is_data_metric",
		"GIT REPOSITORIES": "created_on name database_name schema_name origin api_integration git_credentials owner owner_role_type " +
			"comment last_fetched_at",
		"IMPORTED KEYS": "created_on pk_database_name pk_schema_name pk_table_name pk_column_name fk_database_name fk_schema_name " +
			"fk_table_name fk_column_name key_sequence# update_rule delete_rule fk_name pk_name deferrability rely comment",
		"LOCKS": "resource type transaction# transaction_started_on status acquired_on query_id session#",
		"NETWORK POLICIES": "created_on name comment entries_in_allowed_ip_list# entries_in_blocked_ip_list# " +
			"entries_in_allowed_network_rules# entries_in_blocked_network_rules#",
		"NOTEBOOK PROJECTS": "created_on name database_name schema_name owner comment",
		"NOTEBOOKS":         "created_on name database_name schema_name comment owner query_warehouse url_id owner_role_type code_warehouse",
		"OBJECTS": "created_on name database_name schema_name kind comment cluster_by rows# bytes# owner retention_time " +
			"owner_role_type budget is_hybrid is_dynamic",
		"PIPES": "created_on name database_name schema_name definition owner notification_channel comment integration pattern " +
			"error_integration invalid_reason owner_role_type kind",
		"PRIMARY KEYS": "created_on database_name schema_name table_name column_name key_sequence# constraint_name rely comment",
		"PROCEDURES": "created_on name schema_name is_builtin is_aggregate is_ansi min_num_arguments# max_num_arguments# arguments " +
			"description catalog_name is_table_function valid_for_clustering is_secure secrets external_access_integrations",
		"RESOURCE MONITORS": "name credit_quota used_credits remaining_credits level frequency start_time end_time notify_at suspend_at " +
			"suspend_immediately_at created_on owner comment notify_users",
		"SEQUENCES":  "name database_name schema_name next_value# interval# created_on owner comment owner_role_type ordered",
		"SHARES":     "created_on kind owner_account name database_name to owner comment listing_global_name secure_objects_only",
		"STREAMLITS": "created_on name database_name schema_name title owner comment query_warehouse url_id owner_role_type",
		"STREAMS": "created_on name database_name schema_name owner comment table_name source_type base_tables type stale mode " +
			"stale_after invalid_reason owner_role_type",
		"TABLES": "created_on name database_name schema_name kind comment cluster_by rows# bytes# owner retention_time " +
			"automatic_clustering change_tracking is_external enable_schema_evolution owner_role_type is_event budget " +
			"is_hybrid is_iceberg is_dynamic is_immutable",
		"TASKS": "created_on name id database_name schema_name owner comment warehouse schedule predecessors state definition " +
			"condition allow_overlapping_execution error_integration last_committed_on last_suspended_on owner_role_type " +
			"config budget task_relations last_suspended_reason",
		"TRANSACTIONS": "id# user session# name started_on state scope",
		"UNIQUE KEYS":  "created_on database_name schema_name table_name column_name key_sequence# constraint_name rely comment",
		"VIEWS": "created_on name reserved database_name schema_name owner comment text is_secure is_materialized " +
			"owner_role_type change_tracking",
	}
}
