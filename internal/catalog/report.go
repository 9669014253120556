// SPDX-License-Identifier: Apache-2.0

package catalog

// Reports keeps what was found about an object when it was made: the validation of a runtime environment, JSON of schema
// firn.validate/1 compressed with zstd. A report is much larger
// than a spec and is read one at a time, so lists of objects do not carry it.
type Reports interface {
	// PutReport adds or replaces the report of an object. It is kept as it is.
	//
	// Errors: NotFound when the object does not exist.
	PutReport(object ID, report []byte) error
	// Report gives the report of an object. It goes with the object.
	//
	// Errors: NotFound.
	Report(object ID) ([]byte, error)
}
