// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/sync/semaphore"

	"firn.dev/firn/internal/errs"
)

// argon2id with 19 MiB, two passes, one lane: the OWASP minimum, about 40 ms.
// https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html
const (
	argonMemory  = 19 * 1024 // KiB
	argonPasses  = 2
	argonThreads = 1
	argonKey     = 32
)

// hashing bounds how many hashes are computed at once, and with it the memory that logins can take.
var hashing = semaphore.NewWeighted(int64(runtime.NumCPU()))

// unknownUserHash is verified in place of a missing user's hash, so that a wrong name takes as long as a wrong password. It is the
// hash of no password: its key part is shorter than any key.
const unknownUserHash = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAA"

// HashPassword gives the argon2id hash of a password in PHC form.
//
// Errors: Canceled when the context ends while waiting for its turn.
func HashPassword(ctx context.Context, password errs.Secret) (string, error) {
	salt := make([]byte, 16)
	if _, err := rand.Read(salt); err != nil {
		return "", errs.Wrap(err, errs.Internal, "no randomness")
	}
	key, err := argonKeyOf(ctx, password, salt, argonMemory, argonPasses, argonThreads)
	if err != nil {
		return "", err
	}
	b := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonPasses, argonThreads,
		b.EncodeToString(salt), b.EncodeToString(key)), nil
}

// VerifyPassword tells whether the password has the hash. An empty hash (a user without a password) fits nothing.
//
// Errors: Canceled when the context ends while waiting; Corrupt when the hash is not one that HashPassword made.
func VerifyPassword(ctx context.Context, hash string, password errs.Secret) (bool, error) {
	if hash == "" {
		hash = unknownUserHash
	}
	parts := strings.Split(hash, "$")
	var version, memory, passes, threads int
	if len(parts) != 6 || parts[1] != "argon2id" {
		return false, errs.New(errs.Corrupt, "stored password hash is malformed")
	}
	_, err1 := fmt.Sscanf(parts[2], "v=%d", &version)
	_, err2 := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &memory, &passes, &threads)
	salt, err3 := base64.RawStdEncoding.DecodeString(parts[4])
	want, err4 := base64.RawStdEncoding.DecodeString(parts[5])
	for _, err := range []error{err1, err2, err3, err4} {
		if err != nil {
			return false, errs.Wrap(err, errs.Corrupt, "stored password hash is malformed")
		}
	}
	got, err := argonKeyOf(ctx, password, salt, memory, passes, threads)
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(got, want) == 1, nil
}

func argonKeyOf(ctx context.Context, password errs.Secret, salt []byte, memory, passes, threads int) ([]byte, error) {
	if err := hashing.Acquire(ctx, 1); err != nil {
		return nil, errs.Wrap(err, errs.Canceled, "login was given up while it waited for its turn")
	}
	defer hashing.Release(1)
	return argon2.IDKey([]byte(password.Reveal()), salt, uint32(passes), uint32(memory), uint8(threads), argonKey), nil
}
