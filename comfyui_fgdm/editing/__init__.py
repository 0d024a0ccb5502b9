"""Editing maps: a recipe of operations, and what applies it.

A recipe is one JSON text. It says what to do to a map, not how the result looks, so that it outlives a change of the
map, and can be written by an editor, by words or by hand:

    {"version": 1, "variable": "segmentation",
     "map": {"sha256": "...", "width": 512, "height": 512, "palette": "coco183"},
     "operations": [{"op": "lift", "id": "a", "class": "dog", "at": [140, 200]},
                    {"op": "transform", "target": "a", "move": [60, 0], "scale": 2}]}

An empty text is the recipe that does nothing. ``map`` is the map that it was made on (``recipe.MapMark``); it may be left
out, and then the recipe fits every map. Undoing the last operation is leaving it out.

**Coordinates** are pixels of that map from its top left corner, x to the right, y down. A point is a pixel, [0, 0] the
first one; a box [x0, y0, x1, y1] ends before x1 and y1. A pixel belongs to a shape if its centre does. On a map of another
size everything scales.

**While a segmentation recipe is applied** there is a ground, the labels of the map, and over it layers, back to front. A
layer keeps the labels it was made with and one affine transform that accumulates: resizing twice loses nothing, and what
was moved out of the map is whole when it comes back. At the end each layer is painted over the ground, every pixel with
the label of the nearest pixel of the layer: labels are never blended, and pixels that no operation touches keep theirs.

==========  =============================================  ==============================================================
operation   keys (? may be left out)                       what it does
==========  =============================================  ==============================================================
lift        id, class?, at?, within?, fill?                makes a layer, in front, of the region of the class at the point (of
                                                           whatever is there, without class; of the nearest region of the
                                                           class, if the point is not in it), of all of the class, or of what
                                                           the polygon ``within`` holds (of the class only, if given). The hole
                                                           is filled with "surroundings" (the default: each pixel takes the
                                                           nearest label around that is neither a thing nor void) or a class
transform   target, flip?, scale?, rotate?, move?          in this order, about the centre of the layer: mirrors it
                                                           ("horizontal", "vertical"), scales it by a number or [x, y], turns
                                                           it by degrees clockwise, moves it by [dx, dy]
duplicate   target, id, move?                              a copy right above it
delete      target                                         takes the layer away
order       target, to? or before? or behind?              "front", "back", "forward" or "backward" (past the next layer with
                                                           an id), or right before or behind another layer
reclass     target, class                                  gives all of the layer another class
paste       id, class?, at?, within?, to?                  as lift, but copied from a second map, in whose pixels ``at`` and
                                                           ``within`` are; scaled to this map; ``to``: where its centre goes
background  class or source: "second"                      what is no thing of the ground becomes the class, or the second
                                                           map's background
recolour    from, to                                       one class becomes another everywhere
fill        class, at, id?                                 the region at the point, as the map looks by then
stroke      class, size, points, id?                       a round brush of that diameter along a line; class null brings the
                                                           given map back
line        class, points, size?, id?                      the same, of 1 pixel without a size
rectangle   class, box, size?, id?                         filled; with a size, its outline of that width
ellipse     class, box, size?, id?                         the same, inside the box
polygon     class, points, size?, id?                      the same; corners and edges belong to it
paint       png, id?                                       a picture of class indices (8 bits, 255: leave this pixel) of the
                                                           size of ``map`` from ComfyUI's input folder
==========  =============================================  ==============================================================

Depth maps and sketches ("variable": "depth" or "sketch") hold levels from 0 to 255 in place of classes: nearness, or the strength of
a line. Of the operations above they have transform, duplicate, delete, order, stroke, line, rectangle, ellipse and polygon, with
``value`` in place of ``class`` (in a sketch it may be left out: a full line), and:

==========  =============================================  ==============================================================
operation   keys (? may be left out)                       what it does
==========  =============================================  ==============================================================
lift        id, at? or within?, tolerance?, fill?          makes a layer of the connected region of levels within ``tolerance`` (10; in a
                                                           sketch 191) of that at the point, or of what the outline holds; in a sketch
                                                           only of the lines there. fill: a level or "surroundings", which is the
                                                           default in depth maps; in a sketch, 0 is
shift       by, target?                                    depth: brings a layer, or the whole map, nearer by so many levels (farther,
                                                           below 0)
gradient    from, to, values, within?, id?                 depth: levels that change evenly from one point to another
erase       size, points, id?                              sketch: takes lines away with a round brush
text        text, at, size, value?, font?, rotate?, id?    sketch: writes; ``at`` is the left upper corner, ``size`` the height in pixels,
                                                           ``font`` a font file in ComfyUI's input folder (without: Pillow's own)
==========  =============================================  ==============================================================

Pose maps ("variable": "pose") hold people, each with the joints of ``maps.pose.JOINTS``. They have transform (a flip exchanges left and
right), duplicate and delete, and:

==========  =============================================  ==============================================================
operation   keys (? may be left out)                       what it does
==========  =============================================  ==============================================================
lift        id, at                                         names the person, of those without a name, whose nearest joint is nearest to the point
add         id, at, size                                   a person who stands; ``at`` is the middle, ``size`` the height in pixels
joint       target, joint, to, follow?                     puts a joint there; follow true: what hangs on it comes along
hide        target, joint                                  takes a joint away
==========  =============================================  ==============================================================

A class is its name in the palette, or its index. What is drawn becomes a layer in front; with an id it can be a target. An
operation whose target is not there any more (its region was not found) is left out, as are those that need it in
turn, and the report says so; the others go on. A recipe that is wrong in itself is refused as a whole: an unknown
operation, key, class or id, a value of another kind, more than ``recipe.MOST`` operations.
"""
