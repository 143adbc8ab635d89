package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/wasmesh/wasmesh/sdk/meshcert"
)

const (
	// certificateLife is of hosts and of the controller: short, since there is no revocation, and long enough for a night
	// without a controller.
	certificateLife = 24 * time.Hour
	// authorityLife is of an authority; it is replaced when a third of that is left.
	authorityLife = 365 * 24 * time.Hour
	// announce is how long an authority is trusted before it signs, and retire how long it is after it has stopped: within
	// a certificate's life every host has had a new one, and with it all authorities.
	announce = certificateLife
	retire   = certificateLife
	// backdate allows for clocks that are behind.
	backdate = 5 * time.Minute
)

// authority is one that can sign.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// authorities are those of the mesh at one moment: one that signs, and more that are trusted while one replaces another.
type authorities struct {
	signer *authority
	// signing is since when signer signs.
	signing time.Time
	// next will sign, previous have signed; either may be none.
	next     *authority
	previous []*x509.Certificate
}

// trusted are all, the signer first.
func (a authorities) trusted() []*x509.Certificate {
	certs := []*x509.Certificate{a.signer.cert}
	if a.next != nil {
		certs = append(certs, a.next.cert)
	}
	return append(certs, a.previous...)
}

// replaceAt is when its successor is to be made.
func (a *authority) replaceAt() time.Time {
	life := a.cert.NotAfter.Sub(a.cert.NotBefore)
	return a.cert.NotBefore.Add(life * 2 / 3)
}

// step does what is due, with authorities from create; the zero authorities have none yet.
func (a authorities) step(now time.Time, create func(time.Time) (*authority, error)) (next authorities, changed bool, err error) {
	if a.signer == nil {
		a.signer, err = create(now)
		return authorities{signer: a.signer, signing: now}, true, err
	}
	if a.next == nil && !now.Before(a.signer.replaceAt()) {
		if a.next, err = create(now); err != nil {
			return a, false, err
		}
		changed = true
	}
	if a.next != nil && !now.Before(a.switchAt()) {
		a.previous = append([]*x509.Certificate{a.signer.cert}, a.previous...)
		a.signer, a.next, a.signing, changed = a.next, nil, now, true
	}
	if len(a.previous) > 0 && !now.Before(a.signing.Add(retire)) {
		a.previous, changed = nil, true
	}
	return a, changed, nil
}

// switchAt is when next is to sign: when all trust it, and earlier if what the signer signs would not last.
func (a authorities) switchAt() time.Time {
	known := a.next.cert.NotBefore.Add(backdate + announce)
	if last := a.signer.cert.NotAfter.Add(-certificateLife); last.Before(known) {
		return last
	}
	return known
}

// due is when step has something to do next.
func (a authorities) due() time.Time {
	due := a.signer.replaceAt()
	if a.next != nil {
		due = a.switchAt()
	}
	if end := a.signing.Add(retire); len(a.previous) > 0 && end.Before(due) {
		return end
	}
	return due
}

// newAuthority makes one that signs itself.
func newAuthority(now time.Time) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key of authority: %w", err)
	}
	serial, err := serialNumber()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{Organization: []string{"wasmesh"}, CommonName: "wasmesh mesh authority " + now.UTC().Format("2006-01-02")},
		NotBefore:    now.Add(-backdate), NotAfter: now.Add(authorityLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make authority: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("make authority: %w", err)
	}
	return &authority{cert: cert, key: key}, nil
}

func serialNumber() (*big.Int, error) {
	const bits = 128
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), bits))
	if err != nil {
		return nil, fmt.Errorf("make serial number: %w", err)
	}
	return serial, nil
}

// Keys of the Secret, and the annotation with the time since when the signer signs. The first two are those of the type
// kubernetes.io/tls.
const (
	signerCertKey, signerKeyKey = "tls.crt", "tls.key"
	nextCertKey, nextKeyKey     = "next.crt", "next.key"
	previousKey                 = "previous.crt"
	signingAnnotation           = "wasmesh.dev/signing-since"
)

// encode writes the authorities as the Secret has them.
func (a authorities) encode() (data map[string][]byte, signing string, err error) {
	data = map[string][]byte{signerCertKey: meshcert.Encode([]*x509.Certificate{a.signer.cert})}
	if data[signerKeyKey], err = encodeKey(a.signer.key); err != nil {
		return nil, "", err
	}
	if a.next != nil {
		data[nextCertKey] = meshcert.Encode([]*x509.Certificate{a.next.cert})
		if data[nextKeyKey], err = encodeKey(a.next.key); err != nil {
			return nil, "", err
		}
	}
	if len(a.previous) > 0 {
		data[previousKey] = meshcert.Encode(a.previous)
	}
	return data, a.signing.UTC().Format(time.RFC3339), nil
}

// decodeAuthorities reads a Secret. One that somebody else has made, as of type kubernetes.io/tls, is as good.
func decodeAuthorities(data map[string][]byte, signing string) (a authorities, err error) {
	if a.signer, err = decodeAuthority(data[signerCertKey], data[signerKeyKey]); err != nil {
		return a, fmt.Errorf("%s and %s: %w", signerCertKey, signerKeyKey, err)
	}
	if len(data[nextCertKey]) > 0 {
		if a.next, err = decodeAuthority(data[nextCertKey], data[nextKeyKey]); err != nil {
			return a, fmt.Errorf("%s and %s: %w", nextCertKey, nextKeyKey, err)
		}
	}
	if len(data[previousKey]) > 0 {
		if a.previous, err = meshcert.Decode(data[previousKey]); err != nil {
			return a, fmt.Errorf("%s: %w", previousKey, err)
		}
	}
	if a.signing, err = time.Parse(time.RFC3339, signing); err != nil {
		a.signing = a.signer.cert.NotBefore
	}
	return a, nil
}

func decodeAuthority(certificate, key []byte) (*authority, error) {
	certs, err := meshcert.Decode(certificate)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(key)
	if block == nil {
		return nil, errors.New("the key is not PEM")
	}
	signer, err := decodeKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	switch {
	case !certs[0].IsCA:
		return nil, errors.New("the certificate is not of an authority (CA:TRUE)")
	case !ok || !public.Equal(certs[0].PublicKey):
		return nil, errors.New("the key is not that of the certificate")
	}
	return &authority{cert: certs[0], key: signer}, nil
}

// decodeKey never repeats what it parsed.
func decodeKey(der []byte) (crypto.Signer, error) {
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		if signer, ok := key.(crypto.Signer); ok {
			return signer, nil
		}
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	return nil, errors.New("the key is none that can sign (PKCS#8, EC or PKCS#1)")
}

func encodeKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode key of authority: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
