// SPDX-License-Identifier: Apache-2.0

package parser

import (
	"strings"

	"firn.dev/firn/internal/catalog"
)

// kindOf gives the kind of object that the words name. known is true for kinds that Firn does not have too; their kind is "".
func kindOf(words string) (kind catalog.Kind, known bool) {
	switch k := catalog.Kind(words); k {
	case catalog.KindRole, catalog.KindUser, catalog.KindDatabase, catalog.KindSchema, catalog.KindStage, catalog.KindImageRepository,
		catalog.KindService, catalog.KindSecret, catalog.KindNetworkRule, catalog.KindComputePool, catalog.KindWarehouse,
		catalog.KindIntegration, catalog.KindRuntimeEnvironment:
		return k, true
	}
	switch words {
	case "EXTERNAL ACCESS INTEGRATION":
		return catalog.KindIntegration, true
	case "TABLE", "VIEW", "TASK", "NOTEBOOK", "NOTEBOOK PROJECT", "CODE BUNDLE", "WORKSPACE", "FUNCTION", "PROCEDURE", "STREAM", "STREAMLIT",
		"SEQUENCE", "PIPE", "ALERT", "TAG", "SHARE", "MODEL", "AGENT", "CONNECTION", "APPLICATION", "APPLICATION PACKAGE", "APPLICATION ROLE",
		"DATABASE ROLE", "FILE FORMAT", "GIT REPOSITORY", "EXTERNAL TABLE", "DYNAMIC TABLE", "EVENT TABLE", "HYBRID TABLE", "ICEBERG TABLE",
		"MATERIALIZED VIEW", "SEMANTIC VIEW", "EXTERNAL FUNCTION", "EXTERNAL VOLUME", "RESOURCE MONITOR", "ARTIFACT REPOSITORY", "DATASET",
		"SNAPSHOT", "FAILOVER GROUP", "REPLICATION GROUP", "NETWORK POLICY", "PASSWORD POLICY", "SESSION POLICY", "AUTHENTICATION POLICY",
		"MASKING POLICY", "ROW ACCESS POLICY", "AGGREGATION POLICY", "PROJECTION POLICY", "PACKAGES POLICY", "CATALOG INTEGRATION",
		"API INTEGRATION", "SECURITY INTEGRATION", "STORAGE INTEGRATION", "NOTIFICATION INTEGRATION", "CORTEX SEARCH SERVICE", "RESULT",
		"TRANSACTION", "DBT PROJECT", "FEATURE STORE", "ORGANIZATION ACCOUNT", "MANAGED ACCOUNT", "TYPE", "INDEX", "MODEL MONITOR":
		return "", true
	}
	return "", false
}

// kindsOf gives the kind whose plural the words are.
func kindsOf(words string) (kind catalog.Kind, known bool) {
	if stem, ok := strings.CutSuffix(words, "IES"); ok {
		return kindOf(stem + "Y")
	}
	if stem, ok := strings.CutSuffix(words, "S"); ok {
		return kindOf(stem)
	}
	return "", false
}

const longestKind = 4 // words

// phrase matches the longest run of words that match accepts and steps over it; "" when there is none.
func (p *parser) phrase(match func(words string) bool) string {
	for n := longestKind; n > 0; n-- {
		if words := p.join(n); words != "" && match(words) {
			p.at += n
			return words
		}
	}
	return ""
}

// join gives the next n words with single blanks between, "" when there are not that many.
func (p *parser) join(n int) string {
	if n == 1 {
		return p.tok().word
	}
	words := make([]string, n)
	for i := range words {
		if words[i] = p.peek(i).word; words[i] == "" {
			return ""
		}
	}
	return strings.Join(words, " ")
}

// kind reads the kind of object a statement is about; verb is for the message about kinds that Firn does not have.
func (p *parser) kind(verb string) catalog.Kind {
	words := p.phrase(func(words string) bool {
		_, known := kindOf(words)
		return known
	})
	if words == "" {
		p.unexpected("a kind of object such as CUSTOM RUNTIME ENVIRONMENT, IMAGE REPOSITORY, STAGE or COMPUTE POOL")
		return ""
	}
	kind, _ := kindOf(words)
	if kind == "" {
		p.unsupported(verb + " " + words)
	}
	return kind
}
