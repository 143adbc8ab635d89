package cli

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"github.com/spf13/pflag"
)

// tlsOptions are how a mesh is spoken to that has tls.secretName in its model-serving-config.
type tlsOptions struct {
	on                    bool
	caFile, cert, keyFile string
}

func (o *tlsOptions) addFlags(flags *pflag.FlagSet) {
	flags.BoolVar(&o.on, "tls", false, "speak TLS, for a mesh with tls.secretName in its model-serving-config")
	flags.StringVar(&o.caFile, "ca-file", "", "certificates of the authority that signed the mesh's; implies --tls")
	flags.StringVar(&o.cert, "cert-file", "", "certificate to show, for tls.clientAuth: require; implies --tls")
	flags.StringVar(&o.keyFile, "key-file", "", "key of --cert-file")
}

// maxPEMBytes bounds a file of certificates.
const maxPEMBytes = 1 << 20

// config is nil when TLS was not asked for.
func (o *tlsOptions) config() (*tls.Config, error) {
	if !o.on && o.caFile == "" && o.cert == "" && o.keyFile == "" {
		return nil, nil
	}
	config := &tls.Config{}
	if o.caFile != "" {
		content, err := readLimited(o.caFile, maxPEMBytes)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(content) {
			return nil, fmt.Errorf("--ca-file %s has no certificate in PEM form", o.caFile)
		}
	}
	if o.cert != "" || o.keyFile != "" {
		pair, err := tls.LoadX509KeyPair(o.cert, o.keyFile)
		if err != nil {
			return nil, fmt.Errorf("--cert-file and --key-file: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
