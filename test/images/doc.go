// Package images holds the tests of how container images are made: test/images/build, test/images/mlserver and the tool
// bin/tools/images that they call. What goes into the images of the test cluster alone is in the folders beside it.
package images
