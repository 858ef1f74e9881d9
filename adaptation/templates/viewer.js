// The 3D view of a report: people of a GLB file, turned with the mouse and moved through the frames.
"use strict";
(() => {
  const box = document.getElementById("viewer");
  const canvas = box.querySelector("canvas");
  const slider = box.querySelector("input");
  const label = box.querySelector("output");
  const select = box.querySelector("select");
  const play = box.querySelector("[data-act=play]");

  let renderer;
  try {
    renderer = new THREE.WebGLRenderer({ canvas, antialias: true, alpha: true });
  } catch {
    canvas.hidden = true;
    box.querySelector(".controls").hidden = true;
    box.querySelector(".failed").hidden = false;
    return;
  }
  renderer.setPixelRatio(Math.min(window.devicePixelRatio, 2));

  const scene = new THREE.Scene();
  const camera = new THREE.PerspectiveCamera(40, 1, 0.05, 500);
  const controls = new THREE.OrbitControls(camera, canvas);
  // The light comes over the viewer's shoulder, so that every side of a body is lit.
  const light = new THREE.DirectionalLight(0xffffff, 1.9);
  light.position.set(-0.6, 1, 0.8);
  light.target.position.set(0, 0, -1);
  camera.add(light, light.target);
  scene.add(camera, new THREE.HemisphereLight(0xffffff, 0x8890a0, 1.2));

  const file = Uint8Array.from(atob(document.getElementById("viewer-glb").textContent), (c) => c.charCodeAt(0));
  new THREE.GLTFLoader().parse(file.buffer, "", start, (error) => console.error(error));

  function start(gltf) {
    scene.add(gltf.scene);
    const people = gltf.scene.children
      .filter((node) => node.isSkinnedMesh)
      .map((mesh) => ({ mesh, name: mesh.name, root: mesh.skeleton.bones[0], ...mesh.userData }));
    // A skinned mesh moves away from the bounds of its rest pose, by which it would be left out of the picture.
    for (const person of people) person.mesh.frustumCulled = false;
    const recorded = gltf.cameras[0];
    const mixer = new THREE.AnimationMixer(gltf.scene);
    mixer.clipAction(gltf.animations[0]).play();

    // All frames in which somebody has a body, with their seconds.
    const seconds = new Map();
    for (const person of people) person.frames.forEach((frame, i) => seconds.set(frame, person.seconds[i]));
    const frames = [...seconds.keys()].sort((a, b) => a - b);
    const times = frames.map((frame) => seconds.get(frame));
    const first = times[0];
    const last = times[times.length - 1];
    const steps = times.slice(1).map((time, i) => time - times[i]).sort((a, b) => a - b);
    const usual = steps.length ? steps[Math.floor(steps.length / 2)] : 1;
    slider.max = frames.length - 1;
    const single = frames.length < 2;
    slider.disabled = play.disabled = single;

    let time = first;
    let playing = false;
    let chosen = null;
    const followed = new THREE.Vector3();

    select.add(new Option(people.length > 1 ? "All people" : "The person", ""));
    if (people.length > 1) {
      for (const person of people) select.add(new Option(`Person ${parseInt(person.name.split("_")[1], 10)}`, person.name));
    }

    // A person is shown at their frames and between neighbouring ones, not where the track has a gap.
    function seen(person, at) {
      if (chosen && person !== chosen) return false;
      let before = -Infinity;
      for (const known of person.seconds) {
        if (Math.abs(known - at) < 1e-3) return true;
        if (known > at) return known - before < 2.5 * usual;
        before = known;
      }
      return false;
    }

    function show(now) {
      time = now;
      mixer.setTime(time - first);
      for (const person of people) person.mesh.visible = seen(person, time);
      const nearest = times.reduce((best, each, i) => (Math.abs(each - time) < Math.abs(times[best] - time) ? i : best), 0);
      slider.value = nearest;
      label.textContent = `frame ${frames[nearest]}, ${times[nearest].toFixed(2)} s`;
      if (chosen) {
        const place = chosen.root.getWorldPosition(new THREE.Vector3());
        const moved = place.clone().sub(followed);
        camera.position.add(moved);
        controls.target.add(moved);
        followed.copy(place);
      }
      draw();
    }

    // Middle and half size of the space that people take up at some times; of everybody if nobody is seen then.
    function extent(moments) {
      const low = new THREE.Vector3(Infinity, 0, Infinity);
      const high = new THREE.Vector3(-Infinity, 1.8, -Infinity);
      for (const at of moments) {
        mixer.setTime(at - first);
        const shown = people.filter((person) => seen(person, at));
        for (const person of shown.length ? shown : people) {
          const place = person.root.getWorldPosition(new THREE.Vector3());
          low.min(place.clone().setY(place.y - 1));
          high.max(place.clone().setY(place.y + 0.9));
        }
      }
      mixer.setTime(time - first);
      const middle = low.clone().add(high).multiplyScalar(0.5);
      return { middle, radius: Math.max(high.distanceTo(low) / 2, 1.1) };
    }

    const directions = { front: [0, 0.12, 1], side: [1, 0.12, 0], above: [0, 1, 0.01] };
    function view(name) {
      resize();
      const { middle, radius } = extent([time]);
      if (name === "recording") {
        // The whole recorded picture fits into the canvas.
        const wide = recorded.aspect / camera.aspect;
        const half = Math.tan((recorded.fov * Math.PI) / 360) * Math.max(1, wide);
        camera.fov = (Math.atan(half) * 360) / Math.PI;
        recorded.getWorldPosition(camera.position);
        const forward = recorded.getWorldDirection(new THREE.Vector3());
        const far = Math.max(forward.dot(middle.clone().sub(camera.position)), 1);
        controls.target.copy(camera.position).addScaledVector(forward, far);
      } else {
        camera.fov = 40;
        const reach = Math.tan((camera.fov * Math.PI) / 360) * Math.min(1, camera.aspect);
        controls.target.copy(middle);
        camera.position.copy(middle).addScaledVector(new THREE.Vector3(...directions[name]).normalize(), (1.05 * radius) / reach);
      }
      camera.updateProjectionMatrix();
      controls.update();
      draw();
    }

    function resize() {
      const { clientWidth: width, clientHeight: height } = canvas;
      camera.aspect = width / height;
      camera.updateProjectionMatrix();
      renderer.setSize(width, height, false);
    }

    function draw() {
      renderer.render(scene, camera);
    }

    function step(count) {
      stop();
      slider.value = Math.min(Math.max(Number(slider.value) + count, 0), frames.length - 1);
      show(times[slider.value]);
    }

    function stop() {
      playing = false;
      play.textContent = "Play";
    }

    let before = 0;
    function tick(now) {
      if (!playing) return;
      const next = time + Math.min((now - before) / 1000, 0.2);
      before = now;
      show(next > last ? first : next);
      requestAnimationFrame(tick);
    }

    play.addEventListener("click", () => {
      if (playing) return stop();
      playing = true;
      play.textContent = "Pause";
      before = performance.now();
      requestAnimationFrame(tick);
    });
    slider.addEventListener("input", () => {
      stop();
      show(times[slider.value]);
    });
    canvas.addEventListener("keydown", (event) => {
      const count = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (count) {
        event.preventDefault();
        step(count);
      }
    });
    select.addEventListener("change", () => {
      chosen = people.find((person) => person.name === select.value) || null;
      // A person who is not there now is shown where they are first.
      if (chosen && !seen(chosen, time)) time = chosen.seconds[0];
      mixer.setTime(time - first);
      if (chosen) chosen.root.getWorldPosition(followed);
      view(chosen ? "front" : "recording");
      show(time);
    });
    for (const button of box.querySelectorAll("[data-view]")) {
      button.addEventListener("click", () => view(button.dataset.view));
    }
    controls.addEventListener("change", draw);
    window.addEventListener("resize", () => {
      resize();
      draw();
    });

    // The floor below everybody, in squares of one metre.
    const { middle, radius } = extent(times.filter((_, i) => i % Math.ceil(times.length / 200) === 0));
    const side = 2 * Math.ceil(radius + 2);
    const grid = new THREE.GridHelper(side, side, 0x8a93a3, 0x8a93a3);
    grid.material.transparent = true;
    grid.material.opacity = 0.45;
    grid.position.set(Math.round(middle.x), 0, Math.round(middle.z));
    scene.add(grid);

    // The frame of the report's picture, unless nobody in it could be placed.
    time = seconds.get(Number(box.dataset.frame)) ?? first;
    view("recording");
    show(time);
  }
})();
