#!/bin/sh
# Starts $CHROMIUM without what only a person at its window uses. Each of these has a renderer for each context:
# the pop-ups of the address bar, and one in reserve. They take four fifths of the processor time of a small test.
# Chromium reads its last --disable-features only, so ours are added to Playwright's.
for argument do
  shift
  case $argument in
    --disable-features=*)
      argument=$argument,WebUIOmniboxPopup,WebUIOmniboxAimPopup,SpareRendererForSitePerProcess ;;
  esac
  set -- "$@" "$argument"
done
exec "$CHROMIUM" "$@"
