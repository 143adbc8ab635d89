package identity

import (
	"crypto/x509"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/wasmesh/wasmesh/sdk/meshcert"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// stepped does what is due at now.
func stepped(t *testing.T, a authorities, now time.Time) (authorities, bool) {
	t.Helper()
	next, changed, err := a.step(now, newAuthority)
	if err != nil {
		t.Fatal(err)
	}
	return next, changed
}

// Over three years, looked at only when something is due: whoever was given its certificate within the last day trusts
// everybody else who was, and is trusted. So nobody is ever cut off by the change of an authority.
func TestAuthoritiesOverlap(t *testing.T) {
	type holder struct {
		signer *x509.Certificate // of its certificate
		trusts []*x509.Certificate
		until  time.Time
	}
	var (
		a       authorities
		holders []holder
		changes int
		signers = map[string]bool{}
	)
	const renewal = 8 * time.Hour
	for now := start; now.Before(start.Add(3 * authorityLife)); now = now.Add(renewal) {
		if a.signer == nil || !now.Before(a.due()) {
			next, changed := stepped(t, a, now)
			if !changed {
				t.Fatalf("%v: due, and nothing has changed", now)
			}
			a, changes = next, changes+1
		} else if _, changed := stepped(t, a, now); changed {
			t.Fatalf("%v: something has changed that was not due", now)
		}
		if a.signer.cert.NotAfter.Before(now.Add(certificateLife)) {
			t.Fatalf("%v: the signer ends at %v", now, a.signer.cert.NotAfter)
		}
		signers[string(a.signer.cert.Raw)] = true
		holders = append(holders, holder{a.signer.cert, a.trusted(), now.Add(certificateLife)})
		for len(holders) > 0 && !now.Before(holders[0].until) {
			holders = holders[1:]
		}
		for _, one := range holders {
			for _, other := range holders {
				if !trusts(one.trusts, other.signer) {
					t.Fatalf("%v: a certificate of %s is not trusted by all", now, other.signer.Subject)
				}
			}
		}
	}
	// Made, and then announced, signing and alone again each time.
	if len(signers) != 5 || changes != 1+3*4 {
		t.Errorf("%d authorities signed, after %d changes", len(signers), changes)
	}
}

func trusts(roots []*x509.Certificate, signer *x509.Certificate) bool {
	for _, root := range roots {
		if root.Equal(signer) {
			return true
		}
	}
	return false
}

// A controller that was away for long replaces at once what would end too soon.
func TestAnAuthorityThatEndsIsReplacedAtOnce(t *testing.T) {
	a, _ := stepped(t, authorities{}, start)
	first := a.signer.cert
	now := start.Add(authorityLife - time.Hour)
	a, changed := stepped(t, a, now)
	if !changed || a.signer.cert.Equal(first) || a.next != nil || len(a.previous) != 1 {
		t.Errorf("an hour before its end: signer until %v, %d more trusted", a.signer.cert.NotAfter, len(a.trusted())-1)
	}
}

func TestAuthoritiesAreKeptAsTheyAre(t *testing.T) {
	a, _ := stepped(t, authorities{}, start)
	a, _ = stepped(t, a, a.due())
	for phase := range 3 {
		data, signing, err := a.encode()
		if err != nil {
			t.Fatal(err)
		}
		read, err := decodeAuthorities(data, signing)
		if err != nil {
			t.Fatalf("phase %d: %v", phase, err)
		}
		again, signingAgain, err := read.encode()
		if err != nil || signing != signingAgain || !maps.EqualFunc(data, again, func(a, b []byte) bool { return string(a) == string(b) }) {
			t.Errorf("phase %d: other than it was written: %v", phase, err)
		}
		if !read.due().Equal(a.due()) {
			t.Errorf("phase %d: due at %v, want %v", phase, read.due(), a.due())
		}
		a, _ = stepped(t, a, a.due())
	}
}

func TestADamagedAuthorityIsNotUsed(t *testing.T) {
	a, _ := stepped(t, authorities{}, start)
	good, _, err := a.encode()
	if err != nil {
		t.Fatal(err)
	}
	other, err := newAuthority(start)
	if err != nil {
		t.Fatal(err)
	}
	leafCert, err := a.signer.sign(leaf{uri: meshcert.Host{Namespace: "n", ID: "h"}.URI(), key: a.signer.key.Public()}, start)
	if err != nil {
		t.Fatal(err)
	}
	otherKey, err := encodeKey(other.key)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(map[string][]byte){
		"no certificate":            func(d map[string][]byte) { delete(d, signerCertKey) },
		"no key":                    func(d map[string][]byte) { delete(d, signerKeyKey) },
		"garbage":                   func(d map[string][]byte) { d[signerCertKey] = []byte("garbage") },
		"key of another":            func(d map[string][]byte) { d[signerKeyKey] = otherKey },
		"certificate of no CA":      func(d map[string][]byte) { d[signerCertKey] = meshcert.Encode([]*x509.Certificate{leafCert}) },
		"key is a certificate":      func(d map[string][]byte) { d[signerKeyKey] = d[signerCertKey] },
		"next without a key":        func(d map[string][]byte) { d[nextCertKey] = d[signerCertKey] },
		"previous are not readable": func(d map[string][]byte) { d[previousKey] = []byte("garbage") },
	} {
		data := maps.Clone(good)
		change(data)
		_, err := decodeAuthorities(data, "")
		if err == nil {
			t.Errorf("%s: taken", name)
		} else if strings.Contains(err.Error(), "-----") {
			t.Errorf("%s: the error repeats the Secret: %v", name, err)
		}
	}
	// One that was made elsewhere has no annotation.
	if _, err := decodeAuthorities(good, ""); err != nil {
		t.Error(err)
	}
}

// Hosts that are one step apart understand each other, in each step.
func TestMeshKeysOverlap(t *testing.T) {
	keys, changed := meshKeys{}.step(start)
	if !changed || len(keys.keys) != 1 || len(keys.keys[0]) != 64 {
		t.Fatalf("the first key: %v", keys.phase)
	}
	used := map[string]bool{keys.keys[0]: true}
	for range 3 * 4 {
		if _, changed := keys.step(keys.due().Add(-time.Second)); changed {
			t.Fatal("changed before it was due")
		}
		next, changed := keys.step(keys.due())
		if !changed {
			t.Fatal("due, and nothing has changed")
		}
		for _, pair := range [][2]meshKeys{{keys, next}, {next, keys}} {
			if sent := pair[0].keys[0]; !strings.Contains(string(pair[1].encode()), sent) {
				t.Fatalf("from %s to %s: what one sends the other does not open", keys.phase, next.phase)
			}
		}
		read, err := decodeMeshKeys(next.encode(), string(next.phase), next.since.Format(time.RFC3339), start)
		if err != nil || string(read.encode()) != string(next.encode()) || read.phase != next.phase || !read.due().Equal(next.due()) {
			t.Fatalf("%s: read as %v, %v", next.phase, read.phase, err)
		}
		keys = next
		used[keys.keys[0]] = true
	}
	if len(used) != 1+4 {
		t.Errorf("%d keys were used in four rotations", len(used))
	}
	for _, bad := range []string{"", "ff", strings.Repeat("zz", 32), strings.Repeat("ff", 32) + "\n" + strings.Repeat("ff", 31)} {
		if _, err := decodeMeshKeys([]byte(bad), "", "", start); err == nil || bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	// One that a user has made stays theirs.
	own, err := decodeMeshKeys([]byte(strings.Repeat("ab", 32)+"\n"), "", "", start)
	if _, changed := own.step(start); err != nil || changed {
		t.Errorf("a key without annotations is changed: %v", err)
	}
}
