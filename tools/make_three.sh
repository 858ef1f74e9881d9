#!/usr/bin/env bash
# Builds adaptation/assets/three.min.js: the parts of three.js that the 3D view of reports needs, as one script.
#   tools/make_three.sh     needs Node.js with npm, and network access
set -euo pipefail

three=0.187.0 esbuild=0.28.2
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund "three@$three" "esbuild@$esbuild"

cat >entry.js <<'END'
export {
  AnimationMixer, DirectionalLight, GridHelper, HemisphereLight, PerspectiveCamera, Scene, Vector3, WebGLRenderer,
} from "three";
export { OrbitControls } from "three/examples/jsm/controls/OrbitControls.js";
export { GLTFLoader } from "three/examples/jsm/loaders/GLTFLoader.js";
END

# The licence wants its text in every copy, and every report is one.
{
  echo "/*! three.js $three, bundled and minified; $(sed -n 3p node_modules/three/LICENSE), under the MIT License:"
  sed -n '5,$p' node_modules/three/LICENSE
  echo "*/"
} >licence.js
npx esbuild entry.js --bundle --minify --format=iife --global-name=THREE --legal-comments=none --log-level=warning \
  --charset=ascii --outfile=three.min.js
cat licence.js three.min.js >"$root/adaptation/assets/three.min.js"
ls -l "$root/adaptation/assets/three.min.js"
