package resources

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"path"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/wasmesh/wasmesh/controller/config"
	"github.com/wasmesh/wasmesh/sdk/meshcert"
)

// TLSSecret is what is known of the Secret with the certificate for clients. What is in it is left to the hosts, which read
// it again when it changes.
type TLSSecret struct {
	// HasCA: there is a ca.crt, against which clients are verified. Otherwise the certificate itself is what they are
	// verified against, as in ModelMesh.
	HasCA bool
	// OwnAuthority: a certificate in tls.crt is its own authority, so that clients can be verified against it. Hosts use
	// none that somebody else has signed.
	OwnAuthority bool
}

// ReadTLSSecret says what the Secret holds, or what it lacks.
func ReadTLSSecret(s *corev1.Secret) (*TLSSecret, error) {
	var errs []error
	for _, key := range []string{corev1.TLSCertKey, corev1.TLSPrivateKeyKey} {
		if len(s.Data[key]) == 0 {
			errs = append(errs, fmt.Errorf("secret %s has no %s: tls.secretName wants one with %s, %s and perhaps %s",
				s.Name, key, corev1.TLSCertKey, corev1.TLSPrivateKeyKey, corev1.ServiceAccountRootCAKey))
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	// What is no certificate the hosts refuse, in more words.
	chain, _ := meshcert.Decode(s.Data[corev1.TLSCertKey])
	return &TLSSecret{
		HasCA:        len(s.Data[corev1.ServiceAccountRootCAKey]) > 0,
		OwnAuthority: slices.ContainsFunc(chain, func(c *x509.Certificate) bool { return bytes.Equal(c.RawIssuer, c.RawSubject) }),
	}, nil
}

// TLSProblem says why the Secret that tls.secretName names cannot be used, and what to do; nil when it can, or when none is
// named. No host would start with it as it is, so nothing that mounts it is made.
func (m Mesh) TLSProblem() error {
	name, auth := m.Config.TLS.SecretName, m.Config.TLS.ClientAuth
	switch s := m.TLSSecret; {
	case name == "":
		return nil
	case s == nil && m.TLSFault != nil:
		return m.TLSFault
	case s == nil:
		return fmt.Errorf("the Secret %s, which tls.secretName names, cannot be used: it has to be in the namespace %s, with %s and %s",
			name, m.Namespace, corev1.TLSCertKey, corev1.TLSPrivateKeyKey)
	case auth != config.ClientAuthNone && !s.HasCA && !s.OwnAuthority:
		return fmt.Errorf("the Secret %s of namespace %s has no %s, which tls.clientAuth %s verifies clients against, and its %s is not its "+
			"own authority: add %s to it, or leave tls.clientAuth out",
			name, m.Namespace, corev1.ServiceAccountRootCAKey, auth, corev1.TLSCertKey, corev1.ServiceAccountRootCAKey)
	}
	return nil
}

// tlsArguments concern clients.
func (m Mesh) tlsArguments() []string {
	c := m.Config.TLS
	if c.SecretName == "" {
		return nil
	}
	args := []string{
		"--tls-cert-file=" + path.Join(pathTLS, corev1.TLSCertKey),
		"--tls-key-file=" + path.Join(pathTLS, corev1.TLSPrivateKeyKey),
	}
	if c.ClientAuth == config.ClientAuthNone {
		return append(args, "--tls-client-auth=none")
	}
	args = append(args, "--tls-client-auth="+string(c.ClientAuth))
	if m.TLSSecret.HasCA {
		args = append(args, "--tls-client-ca-file="+path.Join(pathTLS, corev1.ServiceAccountRootCAKey))
	}
	return args
}
