// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"iter"
	"time"
)

// PastEnvironment is a custom runtime environment as it was until it was replaced or dropped, with what it was pinned to.
type PastEnvironment struct {
	ID          ID // of this entry
	Environment ID // of the object, which is gone
	Name        string
	Owner       string // role that owned it in the end; follows a rename of the role
	Spec        RuntimeEnvironmentSpec
	Verdict     string // result of the report it was made with: "pass"; "" when it had none
	Policy      string // name and digest of the policy it was judged by; "" likewise
	Since       time.Time
	Until       time.Time
	EndedBy     string // user
	EndedAs     string // role
	Reason      EnvironmentEnd
	Statement   string // query id
}

// EnvironmentEnd is why an environment is no more what it was.
type EnvironmentEnd string

// The ends.
const (
	EnvironmentReplaced EnvironmentEnd = "REPLACED"
	EnvironmentDropped  EnvironmentEnd = "DROPPED"
)

// EnvironmentHistory keeps what custom runtime environments were. It only grows: an entry stays when its repository or its image is gone.
type EnvironmentHistory interface {
	// AddPastEnvironment appends an entry; ID and Until are filled when empty. It belongs into the transaction that drops the object.
	AddPastEnvironment(p *PastEnvironment) error
	// PastEnvironments lists the entries, newest Until first.
	PastEnvironments() iter.Seq2[*PastEnvironment, error]
}
