// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

func secretKind() *kind {
	return &kind{
		kind: catalog.KindSecret, plural: "SECRETS", replace: true, comments: true,
		properties: []property{
			wordProperty("TYPE", "", func(s *catalog.SecretSpec) *string { return &s.Type }, "GENERIC_STRING", "PASSWORD").atCreation(),
			textProperty("SECRET_STRING", func(s *catalog.SecretSpec) *string { return &s.Value }).required(),
			textProperty("USERNAME", func(s *catalog.SecretSpec) *string { return &s.Username }).required(),
			textProperty("PASSWORD", func(s *catalog.SecretSpec) *string { return &s.Value }).required(),
		},
		columns:  secretColumns(),
		describe: nil,
		check: func(o *catalog.Object) error {
			s := o.Spec.(*catalog.SecretSpec)
			switch {
			case s.Type == "":
				return errs.New(errs.Invalid, "SQL compilation error:\nMissing option(s): [TYPE]; allowed: GENERIC_STRING, PASSWORD").Numbered(2029, "22023")
			case s.Type == "PASSWORD" && s.Username == "":
				return errs.New(errs.Invalid, "SQL compilation error:\nMissing option(s): [USERNAME]").Numbered(2029, "22023")
			case s.Type == "GENERIC_STRING" && s.Username != "":
				return errs.New(errs.Invalid, "SQL compilation error:\ninvalid property 'USERNAME' for a secret of type GENERIC_STRING").Numbered(1008, "22023")
			case s.Value == "":
				return errs.New(errs.Invalid, "SQL compilation error:\nMissing option(s): [%s]",
					map[string]string{"PASSWORD": "PASSWORD", "GENERIC_STRING": "SECRET_STRING"}[s.Type]).Numbered(2029, "22023")
			}
			return nil
		},
	}
}

func secretColumns() []column {
	return []column{
		createdOn(), nameColumn(), schemaName(), databaseName(), owner(), comment(),
		specText("secret_type", func(s *catalog.SecretSpec) string { return s.Type }), null("oauth_scopes"), ownerRoleType(),
	}
}
