// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"strings"

	"firn.dev/firn/internal/auth"
	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/rowset"
)

func userKind() *kind {
	return &kind{
		kind: catalog.KindUser, plural: "USERS", replace: true, rename: true, comments: true, terse: true,
		properties: []property{
			passwordProperty(),
			keyProperty("RSA_PUBLIC_KEY", func(s *catalog.UserSpec) *string { return &s.PublicKey }),
			keyProperty("RSA_PUBLIC_KEY_2", func(s *catalog.UserSpec) *string { return &s.PublicKey2 }),
			upperProperty("LOGIN_NAME", func(s *catalog.UserSpec) *string { return &s.LoginName }),
			textProperty("DISPLAY_NAME", func(s *catalog.UserSpec) *string { return &s.DisplayName }),
			textProperty("FIRST_NAME", func(s *catalog.UserSpec) *string { return &s.FirstName }),
			textProperty("LAST_NAME", func(s *catalog.UserSpec) *string { return &s.LastName }),
			textProperty("EMAIL", func(s *catalog.UserSpec) *string { return &s.Email }),
			wordProperty("TYPE", "", func(s *catalog.UserSpec) *string { return &s.Type }, "PERSON", "SERVICE", "LEGACY_SERVICE"),
			identProperty("DEFAULT_ROLE", func(s *catalog.UserSpec) *string { return &s.DefaultRole }),
			identProperty("DEFAULT_WAREHOUSE", func(s *catalog.UserSpec) *string { return &s.DefaultWarehouse }),
			upperProperty("DEFAULT_NAMESPACE", func(s *catalog.UserSpec) *string { return &s.DefaultNamespace }),
			boolProperty("DISABLED", false, func(s *catalog.UserSpec) *bool { return &s.Disabled }),
			boolProperty("MUST_CHANGE_PASSWORD", false, func(s *catalog.UserSpec) *bool { return &s.MustChangePassword }),
			ignoredProperty("DEFAULT_SECONDARY_ROLES"), ignoredProperty("MINS_TO_UNLOCK"), ignoredProperty("DAYS_TO_EXPIRY"),
		},
		columns:  userColumns(),
		describe: userDescription(),
		check: func(o *catalog.Object) error {
			spec := o.Spec.(*catalog.UserSpec)
			if spec.LoginName == "" {
				spec.LoginName = strings.ToUpper(o.Name.Object)
			}
			if spec.DisplayName == "" {
				spec.DisplayName = o.Name.Object
			}
			return nil
		},
		created: func(_ *work, tx catalog.Tx, o *catalog.Object) error { return uniqueLogin(tx, o) },
		dropping: func(w *work, _ catalog.Tx, o *catalog.Object) error {
			if o.Name.Object == w.session.User {
				return errs.New(errs.Refused, "user '%s' cannot drop itself", o.Name)
			}
			return nil
		},
		renaming: func(w *work, tx catalog.Tx, o *catalog.Object, to catalog.Name) error {
			return w.change(tx, func(s *catalog.Session) {
				if s.User == o.Name.Object {
					s.User = to.Object
				}
			})
		},
	}
}

func userColumns() []column {
	text := specText[*catalog.UserSpec]
	return []column{
		nameColumn(), createdOn(),
		text("login_name", func(s *catalog.UserSpec) string { return s.LoginName }),
		text("display_name", func(s *catalog.UserSpec) string { return s.DisplayName }),
		text("first_name", func(s *catalog.UserSpec) string { return s.FirstName }),
		text("last_name", func(s *catalog.UserSpec) string { return s.LastName }),
		text("email", func(s *catalog.UserSpec) string { return s.Email }),
		constant("mins_to_unlock", ""), constant("days_to_expiry", ""), comment(),
		specCell("disabled", func(s *catalog.UserSpec) *string { return boolText(s.Disabled) }),
		specCell("must_change_password", func(s *catalog.UserSpec) *string { return boolText(s.MustChangePassword) }),
		constant("snowflake_lock", "false"),
		text("default_warehouse", func(s *catalog.UserSpec) string { return s.DefaultWarehouse }),
		text("default_namespace", func(s *catalog.UserSpec) string { return s.DefaultNamespace }),
		text("default_role", func(s *catalog.UserSpec) string { return s.DefaultRole }),
		constant("default_secondary_roles", ""), constant("ext_authn_duo", "false"), constant("ext_authn_uid", ""),
		constant("mins_to_bypass_mfa", ""), owner(),
		{rowset.TimestampColumn("last_success_login"), func(_ *listing, o *catalog.Object) *string {
			return timeCell(o.Spec.(*catalog.UserSpec).LastLogin)
		}},
		{rowset.TimestampColumn("expires_at_time"), func(*listing, *catalog.Object) *string { return nil }},
		{rowset.TimestampColumn("locked_until_time"), func(*listing, *catalog.Object) *string { return nil }},
		specCell("has_password", func(s *catalog.UserSpec) *string { return boolText(s.PasswordHash != "") }),
		specCell("has_rsa_public_key", func(s *catalog.UserSpec) *string { return boolText(s.PublicKey != "" || s.PublicKey2 != "") }),
		text("type", func(s *catalog.UserSpec) string { return s.Type }),
		constant("has_mfa", "false"),
	}
}

// userDescription is one row per property; what proves identity shows only that it is there.
func userDescription() *description {
	return &description{
		columns: []rowset.Column{
			rowset.TextColumn("property"), rowset.TextColumn("value"), rowset.TextColumn("default"), rowset.TextColumn("description"),
		},
		rows: func(_ *listing, o *catalog.Object) ([][]*string, error) {
			s := o.Spec.(*catalog.UserSpec)
			password := (*string)(nil)
			if s.PasswordHash != "" {
				password = textCell("********")
			}
			rows := [][]*string{}
			for _, p := range []struct {
				name  string
				value *string
				about string
			}{
				{"NAME", textCell(o.Name.Object), "Name"}, {"COMMENT", orNull(o.Comment), "user comment associated to an object in the dictionary"},
				{"DISPLAY_NAME", orNull(s.DisplayName), "Display name of the associated object"},
				{"TYPE", orNull(s.Type), "Indicates the type of user (PERSON | SERVICE | LEGACY_SERVICE)"},
				{"LOGIN_NAME", orNull(s.LoginName), "Login name of the user"}, {"FIRST_NAME", orNull(s.FirstName), "First name of the user"},
				{"LAST_NAME", orNull(s.LastName), "Last name of the user"}, {"EMAIL", orNull(s.Email), "Email address of the user"},
				{"PASSWORD", password, "Password of the user"}, {"MUST_CHANGE_PASSWORD", boolText(s.MustChangePassword), "User must change the password"},
				{"DISABLED", boolText(s.Disabled), "Whether the user is disabled"},
				{"DEFAULT_WAREHOUSE", orNull(s.DefaultWarehouse), "Default warehouse for this user"},
				{"DEFAULT_NAMESPACE", orNull(s.DefaultNamespace), "Default database namespace prefix for this user"},
				{"DEFAULT_ROLE", orNull(s.DefaultRole), "Primary principal of user session will be set to this role"},
				{"RSA_PUBLIC_KEY", orNull(s.PublicKey), "RSA public key of the user"},
				{"RSA_PUBLIC_KEY_2", orNull(s.PublicKey2), "Second RSA public key of the user"},
			} {
				rows = append(rows, []*string{textCell(p.name), p.value, nil, textCell(p.about)})
			}
			return rows, nil
		},
	}
}

// passwordProperty hashes the password; the text itself goes no further.
func passwordProperty() property {
	return property{
		name: "PASSWORD",
		decode: func(ctx context.Context, w *work, v ast.Value) (change, error) {
			text, err := w.textValue("PASSWORD", v)
			if err != nil {
				return nil, err
			}
			hash, err := auth.HashPassword(ctx, errs.Secret(text))
			return func(o *catalog.Object) { o.Spec.(*catalog.UserSpec).PasswordHash = hash }, err
		},
		reset: func(o *catalog.Object) { o.Spec.(*catalog.UserSpec).PasswordHash = "" },
	}
}

// keyProperty takes a public key as base64 of its DER form, with or without PEM lines.
func keyProperty(name string, field func(*catalog.UserSpec) *string) property {
	return property{
		name: name,
		decode: func(_ context.Context, w *work, v ast.Value) (change, error) {
			text, err := w.textValue(name, v)
			if err != nil {
				return nil, err
			}
			var body strings.Builder
			for line := range strings.Lines(text) {
				if !strings.HasPrefix(line, "-----") {
					body.WriteString(strings.Join(strings.Fields(line), ""))
				}
			}
			der, err := base64.StdEncoding.DecodeString(body.String())
			if err == nil {
				_, err = x509.ParsePKIXPublicKey(der)
			}
			if err != nil {
				return nil, errs.Wrap(err, errs.Invalid, "SQL compilation error:\nNew public key rejected by current policy. Reason: "+
					"'Invalid public key'; %s takes the base64 text of a PKIX public key", name).Numbered(390150, "22023")
			}
			return func(o *catalog.Object) { *field(o.Spec.(*catalog.UserSpec)) = body.String() }, nil
		},
		reset: func(o *catalog.Object) { *field(o.Spec.(*catalog.UserSpec)) = "" },
	}
}

// upperProperty takes a text and keeps it in upper case.
func upperProperty(name string, field func(*catalog.UserSpec) *string) property {
	return property{
		name: name,
		decode: func(_ context.Context, w *work, v ast.Value) (change, error) {
			text, err := w.textValue(name, v)
			return func(o *catalog.Object) { *field(o.Spec.(*catalog.UserSpec)) = strings.ToUpper(text) }, err
		},
		reset: func(o *catalog.Object) { *field(o.Spec.(*catalog.UserSpec)) = "" },
	}
}

// uniqueLogin refuses a login name that another user has.
func uniqueLogin(tx catalog.Tx, o *catalog.Object) error {
	login := o.Spec.(*catalog.UserSpec).LoginName
	for other, err := range tx.Objects(catalog.KindUser, catalog.Name{}) {
		if err != nil {
			return err
		}
		if other.ID != o.ID && other.Spec.(*catalog.UserSpec).LoginName == login {
			return errs.New(errs.Exists, "SQL compilation error:\nObject '%s' already exists.", login).Numbered(2002, "42710")
		}
	}
	return nil
}
