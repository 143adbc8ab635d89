package resolve

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// azureSuffix ends the host of every Azure Blob account; what stands before it is the account's name.
const azureSuffix = ".blob.core.windows.net"

// location is a storageUri as a path and the parameters that override the storage Secret's entry.
type location struct {
	path       string
	parameters map[string]string
}

// parseStorageURI takes a storageUri apart the way ModelMesh does, since both halves are hashed into the model's id:
//
//	pvc://NAME/P                               P  type=pvc name=NAME
//	s3://B/P                                   P  type=s3 bucket=B
//	gs://B/P                                   P  type=gcs bucket=B
//	https://ACC.blob.core.windows.net/CONT/P   P  type=azure account_name=ACC container=CONT
//	https://H/P?q                              P  type=http url=https://H?q
//
// http works as https. P is percent-decoded and has lost its first slash. What ModelMesh would drop without a word, or
// would put into the catalog although it is a credential, is an error. Errors continue a sentence about the object.
func parseStorageURI(uri string) (location, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return location{}, fmt.Errorf("has a storageUri that cannot be parsed: %w", err)
	}
	if u.User != nil {
		return location{}, errors.New("has a user in its storageUri: put credentials into an entry of the Secret storage-config")
	}
	path := strings.TrimPrefix(u.Path, "/")
	switch u.Scheme {
	case "pvc":
		return plainLocation(u, location{path, map[string]string{"type": "pvc", "name": u.Host}})
	case "s3":
		return plainLocation(u, location{path, map[string]string{"type": "s3", "bucket": u.Host}})
	case "gs":
		return plainLocation(u, location{path, map[string]string{"type": "gcs", "bucket": u.Host}})
	case "http", "https":
		if account, ok := strings.CutSuffix(u.Host, azureSuffix); ok {
			return azureLocation(u, account)
		}
		return httpLocation(u)
	default:
		return location{}, fmt.Errorf("has an unsupported storageUri scheme %s: use s3 or pvc", u.Scheme)
	}
}

// plainLocation checks a location that is nothing but a host and a path.
func plainLocation(u *url.URL, loc location) (location, error) {
	if u.Host == "" {
		return location{}, fmt.Errorf("has a storageUri without a name after %s://", u.Scheme)
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return location{}, fmt.Errorf("has a query or fragment in its storageUri, which %s does not have: "+
			"write %%3F for ? and %%23 for # in a path", u.Scheme)
	}
	return loc, nil
}

func azureLocation(u *url.URL, account string) (location, error) {
	if u.RawQuery != "" || u.Fragment != "" {
		return location{}, errors.New("has a query or fragment in its storageUri: " +
			"put Azure credentials into an entry of the Secret storage-config")
	}
	container, path, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	// The account is the first label of the host, as ModelMesh has it.
	account, _, _ = strings.Cut(account, ".")
	if account == "" || container == "" {
		return location{}, fmt.Errorf("has a storageUri without account or container: want https://ACCOUNT%s/CONTAINER/PATH", azureSuffix)
	}
	return location{path, map[string]string{"type": "azure", "account_name": account, "container": container}}, nil
}

func httpLocation(u *url.URL) (location, error) {
	if u.Host == "" {
		return location{}, fmt.Errorf("has a storageUri without a host after %s://", u.Scheme)
	}
	if u.Fragment != "" {
		return location{}, errors.New("has a fragment in its storageUri: write %23 for # in a path")
	}
	base := url.URL{Scheme: u.Scheme, Host: u.Host, RawQuery: u.RawQuery}
	return location{
		path:       strings.TrimPrefix(u.Path, "/"),
		parameters: map[string]string{"type": "http", "url": base.String()},
	}, nil
}
