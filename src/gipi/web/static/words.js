/** Everything the page says, in English and Korean. {name} is a gap that is filled in. */

const KEPT = "gipi-language";
export const LANGUAGES = ["en", "ko"];

/** @type {Record<string, [string, string]>} */
const WORDS = {
  skip: ["Skip to the playground", "놀이터로 건너뛰기"],
  title: ["gipi playground", "gipi 놀이터"],
  tagline: ["Play with deep vision nets, and watch every layer think.", "딥러닝 비전 신경망을 만져 보고, 층마다 무엇을 보는지 지켜보세요."],
  language: ["Language", "언어"],
  choose: ["Choose a model", "모델 고르기"],
  kinds: ["What the model does", "모델이 하는 일"],
  model: ["Model", "모델"],
  compare: ["Compare with", "비교할 모델"],
  nothing_else: ["nothing", "없음"],
  loading: ["Loading …", "불러오는 중 …"],
  unreachable: ["The service does not answer. Is it still running?", "서비스가 응답하지 않습니다. 아직 실행 중인지 확인해 주세요."],
  no_models: ["The service has no models.", "서비스에 모델이 없습니다."],
  failed: ["{sentence}", "서비스 메시지: {sentence}"],
  token: ["This service wants a token", "이 서비스는 토큰이 필요합니다"],
  token_go: ["Go on", "계속"],
  same_code: [
    "Every picture here is drawn by the same code as the command line's: gipi predict and gipi inspect.",
    "여기 보이는 그림은 모두 명령줄의 gipi predict, gipi inspect와 같은 코드가 그립니다.",
  ],

  kind_classify: ["Recognise", "알아보기"],
  kind_detect: ["Find", "찾기"],
  kind_segment: ["Outline", "칠하기"],
  kind_caption: ["Describe", "설명하기"],
  kind_generate: ["Make", "만들기"],
  kind_act: ["Play", "게임하기"],
  about_facts: ["{net} · {layers} layers with weights · {weights} weights", "{net} · 가중치가 있는 층 {layers}개 · 가중치 {weights}개"],
  score_accuracy: ["right on {value} of unseen pictures", "처음 보는 그림의 {value}를 맞힘"],
  score_mean_iou: ["mean IoU {value}", "평균 IoU {value}"],
  score_ap: ["AP {value}", "AP {value}"],
  score_bleu4: ["BLEU-4 {value}", "BLEU-4 {value}"],
  score_frechet: ["Fréchet distance {value}", "프레셰 거리 {value}"],
  score_return: ["mean return {value}", "평균 점수 {value}"],

  draw_title: ["Draw a digit", "숫자를 그려 보세요"],
  draw_hint: ["One digit, 0 to 9, as large as you like.", "0부터 9까지 숫자 하나를 마음껏 크게."],
  draw_canvas: ["Drawing area. Arrow keys move the brush, space lowers or lifts it, delete clears.", "그리는 곳. 화살표로 붓을 옮기고, 스페이스로 내리거나 들고, Delete로 지웁니다."],
  draw_keys: ["By keyboard", "키보드로 그리기"],
  draw_keys_how: [
    "Tab to the drawing area. Arrow keys move the brush (with shift: farther), space lowers or lifts it, delete clears.",
    "Tab으로 그리는 곳까지 옵니다. 화살표로 붓을 옮기고(Shift와 함께 누르면 멀리), 스페이스로 내리거나 들고, Delete로 지웁니다.",
  ],
  brush_down: ["Brush down", "붓을 내렸습니다"],
  brush_up: ["Brush up", "붓을 들었습니다"],
  clear: ["Clear", "지우기"],
  example_digit: ["A real one", "진짜 손글씨"],

  show_title: ["Show a picture", "그림을 보여 주세요"],
  show_hint: ["Choose, drop or paste (Ctrl+V) a picture.", "그림을 고르거나, 끌어다 놓거나, 붙여 넣으세요(Ctrl+V)."],
  show_choose: ["Choose a file", "파일 고르기"],
  show_camera: ["Take a photo", "사진 찍기"],
  show_shown: ["The picture that is shown to the model", "모델에게 보여 준 그림"],
  example_scene: ["A made-up scene", "예시 장면"],
  example_made: ["A made-up picture", "예시 그림"],
  no_picture: ["That is no picture.", "그림이 아닙니다."],

  answer_of: ["{model} answers", "{model}의 대답"],
  took: ["Answer and all maps in {ms} ms", "대답과 모든 특징 맵까지 {ms} ms"],
  makes_of: ["{model} makes", "{model}의 이미지"],
  plays_of: ["{model} plays", "{model}의 게임"],
  waits_drawing: ["Waiting for your digit", "숫자를 기다리고 있어요"],
  waits_picture: ["Waiting for a picture", "그림을 기다리고 있어요"],
  thinking: ["Thinking …", "생각하는 중 …"],
  probabilities: ["Probability of each class", "클래스마다의 확률"],
  net_saw: ["What the net saw", "신경망이 본 것"],
  sure: ["{share} sure", "확신 {share}"],
  spoken_label: ["{model}: {label}, {share} sure", "{model}: {label}, 확신 {share}"],
  spoken_text: ["{model}: {text}", "{model}: {text}"],
  drawn_boxes: ["The picture with a box around each thing found", "찾은 것마다 상자를 두른 그림"],
  drawn_mask: ["The picture, each pixel in the colour of its class", "픽셀마다 클래스의 색을 칠한 그림"],
  drawn_caption: ["The picture with its sentence below", "아래에 문장을 단 그림"],
  drawn_words: ["Where the net looked for each word", "낱말마다 신경망이 본 곳"],
  found_none: ["Nothing found", "아무것도 찾지 못했습니다"],
  found: ["{count} found", "{count}개 찾음"],
  thing: ["Class", "클래스"],
  score: ["Score", "점수"],
  share: ["Share", "비율"],
  log_probability: ["log-probability {value}", "로그 확률 {value}"],

  make_title: ["Move the noise", "잡음을 움직여 보세요"],
  make_class: ["Class", "클래스"],
  make_any: ["each in turn", "차례로"],
  seed: ["Seed", "시드"],
  new_seed: ["New seed", "새 시드"],
  sliders: ["Directions", "방향"],
  sliders_what: [
    "Eight directions of the noise, those that the generator's first layer answers to most strongly (a singular value decomposition of its weights). Nobody taught or named them: move one and see.",
    "잡음의 여덟 방향입니다. 생성기의 첫 층이 가장 크게 반응하는 방향들(가중치의 특잇값 분해)이고, 아무도 가르치거나 이름 붙이지 않았습니다. 하나씩 움직여 보세요.",
  ],
  slider: ["Direction {number}", "방향 {number}"],
  reset: ["Back to zero", "모두 0으로"],
  made: ["16 images of the seeds from {seed} on", "시드 {seed}부터 만든 이미지 16장"],
  walk: ["Walk", "걷기"],
  walk_to: ["Walk to seed", "걸어갈 시드"],
  walk_film: ["The images on the way from seed {from} to seed {to} and back", "시드 {from}에서 시드 {to}까지 갔다가 돌아오는 길의 이미지"],

  game_title: ["Watch it play", "게임하는 모습 보기"],
  epsilon: ["Random moves", "무작위 행동 비율"],
  play_game: ["Play this game", "이 게임 보기"],
  game_film: ["The game, and beside it the value of each action", "게임과 그 옆에 행동마다의 값"],
  game_state: ["Step {step} of {steps}, score {score}: {action}", "{steps}단계 중 {step}단계, 점수 {score}: {action}"],
  game_state_chance: ["Step {step} of {steps}, score {score}: {action}, at random", "{steps}단계 중 {step}단계, 점수 {score}: {action}, 무작위"],
  game_cut: ["The first {steps} decisions.", "처음 {steps}번의 결정까지입니다."],
  game_on: ["Play on", "이어서 보기"],
  values: ["What each action promises (Q)", "행동마다 기대하는 점수(Q)"],

  play: ["Play", "재생"],
  pause: ["Pause", "멈춤"],
  back: ["Step back", "한 장면 뒤로"],
  forward: ["Step forward", "한 장면 앞으로"],
  speed: ["Speed", "속도"],
  position: ["Position", "위치"],

  depth: ["Layer by layer", "층마다 보기"],
  depth_hint: [
    "Top is shallow, bottom is deep. Each row shows the first 16 channels of a layer: white is zero, blue positive, red negative.",
    "위가 얕은 층, 아래가 깊은 층입니다. 줄마다 층의 첫 16개 채널이 있고, 흰색은 0, 파랑은 양수, 빨강은 음수입니다.",
  ],
  depth_table_only: ["The layers that the input runs through, shallow to deep.", "입력이 지나가는 층들을 얕은 쪽부터 늘어놓았습니다."],
  maps_wait: ["As soon as there is an answer, each layer shows here what it sees.", "대답이 나오면 층마다 무엇을 보는지 여기에 나타납니다."],
  maps_of: ["What each layer of {model} sees", "{model}의 층마다 보는 것"],
  map: ["Feature maps of {layer}", "{layer}의 특징 맵"],
  table_of: ["Layers of {model}", "{model}의 층"],
  col_layer: ["Layer", "층"],
  col_kind: ["Kind", "종류"],
  col_shape: ["Output", "출력"],
  col_parameters: ["Weights", "가중치"],
  col_multiply_adds: ["Mult-adds", "곱셈-덧셈"],
  col_field: ["Sees", "보는 범위"],
  total: ["Total", "합계"],
};

/** What the models that come with the package do; others say it themselves. */
const ABOUT_KO = {
  "deepconvnet-mnist": "손글씨 숫자를 읽습니다",
  "fcn-scenes": "어수선한 배경에서 손글씨 숫자의 픽셀을 찾습니다",
  "faster-rcnn-scenes": "어수선한 배경에서 손글씨 숫자를 찾아 읽습니다",
  "attend-scenes": "어수선한 배경의 어디에 어떤 손글씨 숫자가 있는지 말합니다",
  "digitnet-mnist": "다른 신경망으로 손글씨 숫자를 읽습니다",
  "dcgan-mnist": "원하는 손글씨 숫자를 만듭니다",
  "dcgan-fashion": "원하는 옷을 만듭니다",
  "digitnet-fashion": "옷 열 가지를 구별합니다",
  "dqn-catch": "떨어지는 공을 받습니다",
  "dqn-cartpole": "수레 위의 막대를 세워 둡니다",
  "dqn-pong": "퐁에서 이깁니다",
  "digitnet-tiny-mnist": "가중치 6,866개로 손글씨 숫자를 읽습니다",
};

let column = 0;

export const language = () => LANGUAGES[column];

/** The text of a key, its gaps filled. */
export function words(key, values = {}) {
  return WORDS[key][column].replace(/\{(\w+)\}/g, (gap, name) => values[name] ?? gap);
}

export const has = (key) => key in WORDS;

/** What a model does, in the chosen language where that is known. */
export const aboutOf = (model) => (column === 1 && ABOUT_KO[model.name]) || model.about;

/** Choose and remember; the document's language follows. */
export function choose(code) {
  column = Math.max(0, LANGUAGES.indexOf(code));
  localStorage.setItem(KEPT, language());
  document.documentElement.lang = language();
  document.title = words("title");
}

/** The remembered language, or the browser's. */
export const usual = () => localStorage.getItem(KEPT) ?? (navigator.language.toLowerCase().startsWith("ko") ? "ko" : "en");
