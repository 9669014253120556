// SPDX-License-Identifier: Apache-2.0

package errs

import "testing"

func TestNearest(t *testing.T) {
	t.Parallel()
	known := []string{"listen", "data-dir", "blobs", "gc-grace", "gc-interval", "cat", "bat"}
	for word, want := range map[string]string{
		"listen": "listen", "lisen": "listen", "data_dir": "data-dir", "gc-intervals": "gc-interval", "xat": "bat", "nothing": "", "": "",
		"gcinterval": "gc-interval", "redirect": "", "interval": "gc-interval", "grace": "", "val": "bat",
	} {
		if got := Nearest(word, known); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
	if got := Nearest("word", nil); got != "" {
		t.Errorf("of nothing: %q", got)
	}
}

func TestDistance(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"listen", "listen", 0}, {"lisen", "listen", 1}, {"", "abc", 3}, {"abc", "", 3}, {"data_dir", "data-dir", 1}, {"kitten", "sitting", 3}} {
		if got := distance(tt.a, tt.b); got != tt.want {
			t.Errorf("%q, %q: %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}
