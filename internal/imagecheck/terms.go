// SPDX-License-Identifier: Apache-2.0

package imagecheck

import (
	"strings"

	"firn.dev/firn/internal/errs"
)

// ApprovedBases is the repository of a server whose images others may be built on.
const ApprovedBases = "/snowflake/images/snowflake_images"

// accountName is the name of an account's policy that names itself nothing else, and of its text in messages.
const accountName = "account"

// accountMax is the longest policy of an account, bytes. It is a part of the account's row, which is read for other reasons too.
const accountMax = 64 << 10

// serverPlatform is what a server runs.
const serverPlatform = "linux/amd64"

// AccountPolicy reads the policy of an account: "" is PolicyDefault, one word the built-in policy of that name, anything else the
// text of a policy file.
//
// Errors: Invalid, with line and key.
func AccountPolicy(text string) (Policy, error) {
	word := strings.TrimSpace(text)
	switch {
	case word == "":
		return Builtin(PolicyDefault)
	case !strings.ContainsAny(word, "\n:{"):
		p, err := Builtin(word)
		if err != nil {
			return Policy{}, errs.New(errs.Invalid, "%s: write one of them, or the text of a policy file between $$ and $$", errs.MessageOf(err))
		}
		return p, nil
	case len(text) > accountMax:
		return Policy{}, errs.New(errs.Invalid, "the policy of an account has %d bytes, at most %d are kept", len(text), accountMax)
	}
	p, err := ParsePolicy(accountName, []byte(text))
	if err != nil {
		return Policy{}, err
	}
	if p.Platform != serverPlatform {
		return Policy{}, errs.New(errs.Invalid, "policy file %s, platform: a server runs %s only, not %s", accountName, serverPlatform, p.Platform)
	}
	p.Source = "account"
	return p, nil
}

// TermsSchema names the JSON form of Terms.
const TermsSchema = "firn.policy/1"

// Terms are what a server judges images by. A client that applies them judges as the server does.
type Terms struct {
	Schema  string `json:"schema"`
	Version string `json:"firn_version"` // of the server
	Policy  struct {
		Name   string `json:"name"`
		SHA256 string `json:"sha256"` // as the server's reports give it
		Text   string `json:"text"`   // as AccountPolicy reads it
	} `json:"policy"`
	Bases []TermsBase `json:"bases"`
}

// TermsBase is an approved base; see Base.
type TermsBase struct {
	Ref    string   `json:"ref"`
	Type   string   `json:"type"`
	Python string   `json:"python"`
	Layers []string `json:"layers"`
}

// NewTerms puts together what a server judges by. text is that of the account's policy.
//
// Errors: those of AccountPolicy.
func NewTerms(version, text string, bases []Base) (Terms, error) {
	policy, err := AccountPolicy(text)
	if err != nil {
		return Terms{}, err
	}
	t := Terms{Schema: TermsSchema, Version: version, Bases: []TermsBase{}}
	t.Policy.Name, t.Policy.SHA256, t.Policy.Text = policy.Name, policy.Sum(), text
	for _, b := range bases {
		t.Bases = append(t.Bases, TermsBase{Ref: b.Ref, Type: b.Type, Python: b.Python, Layers: b.Layers})
	}
	return t, nil
}

// Read gives the policy and the bases. same tells whether this Firn reads the policy as the server does; another version of Firn
// may not, because a policy may build on one that ships.
//
// Errors: Unsupported for terms of another schema; those of AccountPolicy.
func (t Terms) Read() (policy Policy, bases []Base, same bool, err error) {
	if t.Schema != TermsSchema {
		return Policy{}, nil, false, errs.New(errs.Unsupported, "the server's terms have the schema %.40q, this Firn reads %s", t.Schema, TermsSchema)
	}
	if policy, err = AccountPolicy(t.Policy.Text); err != nil {
		return Policy{}, nil, false, err
	}
	for _, b := range t.Bases {
		bases = append(bases, Base{Ref: b.Ref, Name: b.Ref, Type: b.Type, Python: b.Python, Layers: b.Layers})
	}
	return policy, bases, policy.Sum() == t.Policy.SHA256, nil
}
