"""Write the tables of README.md and README.ko.md from bench/results: python bench/tables.py [--check].

A table stands between `<!-- results -->` and `<!-- end -->`. With --check nothing is written, and a difference is exit code 1.
"""

from __future__ import annotations

import re
import sys

from common import RESULTS, ROOT, read

HEADS = {
    "README.md": ("what", "measured", "range", "target", "on"),
    "README.ko.md": ("항목", "측정값", "범위", "목표", "환경"),
}
# (bench, row, name in English, name in Korean, target)
LINES = (
    ("accuracy", "deepconvnet-book", "`deepconvnet-book`, mean test accuracy", "`deepconvnet-book` 평균 테스트 정확도", ">= 99.35 %"),
    ("accuracy", "deepconvnet-mnist", "`deepconvnet-mnist` (default), mean test accuracy", "`deepconvnet-mnist`(기본) 평균 테스트 정확도", ">= 99.50 %"),
    ("accuracy", "deepconvnet-digits", "`deepconvnet-digits` (embedded data), mean test accuracy", "`deepconvnet-digits`(내장 데이터) 평균 테스트 정확도", ""),
    ("accuracy", "deepconvnet-best", "`deepconvnet-best`, mean test accuracy", "`deepconvnet-best` 평균 테스트 정확도", ">= 99.70 %"),
    ("ensembles", "5 x deepconvnet-best", "5 of them as an ensemble", "그 5개의 앙상블", ">= 99.80 % with 10"),
    ("accuracy", "digitnet-mnist", "`digitnet-mnist`, mean test accuracy", "`digitnet-mnist` 평균 테스트 정확도", ">= 99.77 %"),
    ("ensembles", "3 x digitnet-mnist", "3 of them as an ensemble", "그 3개의 앙상블", ""),
    ("ensembles", "all of them", "all 8 together", "8개 모두의 앙상블", ">= 99.85 %"),
    ("accuracy", "digitnet-tiny-mnist", "`digitnet-tiny-mnist` (6,866 parameters), mean test accuracy", "`digitnet-tiny-mnist`(매개변수 6,866개) 평균 테스트 정확도", ">= 99.40 %"),
    ("accuracy", "digitnet-fashion", "`digitnet-fashion`, mean test accuracy", "`digitnet-fashion` 평균 테스트 정확도", ">= 94.5 %"),
    ("accuracy", "resnet-cifar10", "`resnet-cifar10`, test accuracy on the JPEG copy", "`resnet-cifar10`, JPEG 사본에서의 테스트 정확도", ">= 92 % in 60 min"),
    ("transfer", "mobilenet-v2, frozen: accuracy", "ants and bees, `transfer`: a new head on MobileNetV2", "개미와 벌, `transfer`: MobileNetV2에 새 출력층", ">= 96 %"),
    ("transfer", "mobilenet-v2, frozen: wall time", "process start to tested model", "프로세스 시작부터 시험된 모델까지", "<= 60 s"),
    ("transfer", "squeezenet1-0, frozen: accuracy", "the same with SqueezeNet", "SqueezeNet으로 같은 것", ">= 92 %"),
    ("transfer", "squeezenet1-0, frozen: wall time", "process start to tested model", "프로세스 시작부터 시험된 모델까지", "<= 60 s"),
    ("transfer", "resnet10, from scratch: accuracy", "a small ResNet from scratch", "작은 ResNet을 처음부터", ""),
    ("pictures", "copies of 500x375, cold", "pictures decoded and made 256 pixels small, 500x375 JPEGs", "500x375 JPEG를 풀어 256픽셀로 줄이기", ">= 400 images/s"),
    ("resnet50", "inference, batch 1, over plain", "ResNet-50 inference, batch 1, over plain PyTorch", "ResNet-50 추론, 배치 1, 평범한 PyTorch 대비", ">= 3 x with AMX"),
    ("resnet50", "inference, batch 32, over plain", "the same, batch 32", "같은 것, 배치 32", ">= 3 x with AMX"),
    ("resnet50", "training memory, batch 32, bf16", "peak memory of ResNet-50 training, batch 32, bf16", "ResNet-50 학습의 최대 메모리, 배치 32, bf16", "<= 6 GiB"),
    ("resnet50", "training memory, batch 32, fp32", "peak memory of ResNet-50 training, batch 32, fp32", "ResNet-50 학습의 최대 메모리, 배치 32, fp32", "<= 6 GiB in bf16"),
    ("study_time", "landmarks", "`gipi study landmarks`", "`gipi study landmarks`", ""),
    ("augmentation", "share of a step: deepconvnet-best", "augmentation of `deepconvnet-best`, share of a step", "`deepconvnet-best`의 데이터 확장이 한 단계에서 차지하는 비율", "<= 15 %"),
    ("augmentation", "share of a step: everything", "every augmentation at once", "모든 데이터 확장을 한꺼번에", "<= 15 %"),
    ("members", "together over one after another", "4 members stacked, over one after another", "구성원 4개를 한꺼번에, 차례로 학습하는 것 대비", ""),
    ("study_time", "depth", "`gipi study depth`", "`gipi study depth`", "<= 60 min"),
    ("time_to_accuracy", "gipi: wall time", "`deepconvnet-fast`, process start to tested model", "`deepconvnet-fast` 프로세스 시작부터 시험된 모델까지", "<= 30 s with AMX"),
    ("time_to_accuracy", "gipi: accuracy", "its mean test accuracy", "그 모델의 평균 테스트 정확도", ">= 99.38 %"),
    ("time_to_accuracy", "plain PyTorch fp32 loop with DataLoader: wall time", "the same in a plain PyTorch loop", "같은 것을 평범한 PyTorch 루프로", ""),
    ("time_to_accuracy", "plain PyTorch fp32 loop with DataLoader: accuracy", "its mean test accuracy", "그 모델의 평균 테스트 정확도", ""),
    ("throughput", "gipi, no augmentation", "training, batch 100", "학습 속도, 배치 100", ""),
    ("throughput", "gipi over the faster plain loop", "over a plain PyTorch loop with DataLoader", "평범한 PyTorch 루프(DataLoader) 대비", ">= 3.5 x with AMX"),
    ("throughput", "gipi over the NumPy oracle, float64", "over plain NumPy", "순수 NumPy 대비", ">= 70 x with AMX"),
    ("time_to_accuracy", "gipi, 2 processes: wall time", "`deepconvnet-fast` with `--processes 2`, process start to tested model", "`deepconvnet-fast`와 `--processes 2`, 프로세스 시작부터 시험된 모델까지", "<= 18 s with AMX"),
    ("time_to_accuracy", "gipi, 2 processes: accuracy", "its mean test accuracy", "그 모델의 평균 테스트 정확도", ">= 99.38 %"),
    ("ladder", "ladder: top rung over plain PyTorch fp32", "ladder: its top rung over plain PyTorch", "사다리: 평범한 PyTorch 대비 맨 윗단", ">= 4 x with AMX"),
    ("ladder", "ladder: top rung over NumPy", "ladder: its top rung over NumPy, fp32", "사다리: fp32 NumPy 대비 맨 윗단", ">= 70 x with AMX"),
    ("ladder", "ladder: 2 processes over 1", "2 processes of one thread over one process of two", "스레드 하나인 프로세스 2개, 스레드 둘인 프로세스 하나 대비", ">= 0.9 x"),
    ("ladder", "step: deepconvnet-mnist, share of its bound", "training step, share of its bound", "학습 단계가 한계 속도에 이른 비율", ">= 60 %"),
    ("peers", "gipi", "training beside its peers, batch 100", "다른 프레임워크와 나란히 잰 학습 속도, 배치 100", ""),
    ("peers", "plain PyTorch", "plain PyTorch, fastest setting", "평범한 PyTorch, 가장 빠른 설정", ""),
    ("peers", "PyTorch Lightning", "PyTorch Lightning", "PyTorch Lightning", ""),
    ("peers", "Keras 3 on TensorFlow", "Keras 3 on TensorFlow", "TensorFlow 위의 Keras 3", ""),
    ("peers", "Keras 3 on JAX", "Keras 3 on JAX", "JAX 위의 Keras 3", ""),
    ("peers", "Flax", "Flax", "Flax", ""),
    ("peers", "gipi over the fastest peer", "gipi over the fastest of them", "그중 가장 빠른 것 대비 gipi", ">= 2 x with AMX"),
    ("segmentation", "fcn-scenes: mean_iou", "`fcn-scenes`, mean IoU", "`fcn-scenes` 평균 IoU", ">= 90 %"),
    ("segmentation", "fcn-scenes: training", "its training, by 2 processes", "그 학습, 프로세스 2개로", "<= 5 min with AMX"),
    ("segmentation", "segnet-scenes: mean_iou", "`segnet-scenes`, mean IoU", "`segnet-scenes` 평균 IoU", ">= 90 %"),
    ("segmentation", "segnet-scenes: training", "its training, beside other work", "그 학습, 다른 작업과 함께", "<= 5 min with AMX"),
    ("segmentation", "fcn-camvid-small: mean_iou", "`fcn-camvid-small` (CamVid, 11 classes, trained at 240x180), mean IoU", "`fcn-camvid-small`(CamVid, 클래스 11개, 240x180에서 학습) 평균 IoU", ">= 50 %"),
    ("segmentation", "fcn-camvid-small: pixel_accuracy", "its pixel accuracy", "그 픽셀 정확도", ""),
    ("segmentation", "fcn-camvid-small: training", "its training, one thread, beside other work", "그 학습, 스레드 하나, 다른 작업과 함께", "<= 150 min"),
    ("segmentation", "fcn-camvid-small: mean IoU off scikit-learn's", "its mean IoU's difference from scikit-learn's", "scikit-learn의 평균 IoU와의 차이", "0"),
    ("segment_inference", "segnet 480x384, batch 1, gipi", "SegNet inference, 480x360", "SegNet 추론, 480x360", ""),
    ("segment_inference", "segnet 480x384, batch 1, gipi over plain PyTorch", "over plain PyTorch in fp32", "평범한 fp32 PyTorch 대비", ">= 2 x in bf16"),
    ("segment_inference", "gipi: pixels of the same class as PyTorch's", "`fcn-camvid-small` so: pixels of the same class as PyTorch's", "같은 방식의 `fcn-camvid-small`: PyTorch와 같은 클래스인 픽셀", ">= 99.99 %"),
    ("detection", "faster-rcnn-scenes: ap50", "`faster-rcnn-scenes`, AP50", "`faster-rcnn-scenes` AP50", ">= 95 %"),
    ("detection", "faster-rcnn-scenes: ap", "its AP over IoUs from 0.5 to 0.95", "IoU 0.5에서 0.95까지의 AP", ""),
    ("detection", "faster-rcnn-scenes: training", "its training", "그 학습", "<= 8 min"),
    ("detection", "faster-rcnn-bccd: ap50", "BCCD, blood cells: `faster-rcnn-bccd`, AP50", "BCCD 혈액 세포: `faster-rcnn-bccd` AP50", ">= 86 % in 2 h, >= 90.3 % best"),
    ("detection", "faster-rcnn-bccd: ap", "its AP over IoUs from 0.5 to 0.95", "IoU 0.5에서 0.95까지의 AP", ""),
    ("detection", "faster-rcnn-bccd: training", "its training, one thread, beside other work", "그 학습, 스레드 하나, 다른 작업과 함께", "<= 120 min"),
    ("detection", "fast-rcnn-bccd: ap50", "`fast-rcnn-bccd`, AP50", "`fast-rcnn-bccd` AP50", ""),
    ("detection", "rcnn-bccd: ap50", "`rcnn-bccd`, AP50", "`rcnn-bccd` AP50", ">= 70 %"),
    ("detection", "faster-rcnn-bccd: AP off pycocotools'", "AP's difference from pycocotools'", "pycocotools의 AP와의 차이", "0"),
    ("export", "faster-rcnn-bccd: least IoU of a box with ONNX Runtime's", "its boxes beside ONNX Runtime's: least IoU", "ONNX Runtime의 상자와 견준 가장 낮은 IoU", ">= 0.999"),
    ("export", "deepconvnet-mnist: largest difference of probabilities", "`gipi export deepconvnet-mnist`, its probabilities beside ONNX Runtime's", "`gipi export deepconvnet-mnist`, ONNX Runtime의 확률과 차이", "<= 0.0001"),
    ("export", "fcn-scenes: largest difference of probabilities", "`fcn-scenes`, its probabilities", "`fcn-scenes`의 확률 차이", "<= 0.0001"),
    ("export", "faster-rcnn-scenes: least IoU of a box with ONNX Runtime's", "`faster-rcnn-scenes`, its boxes: least IoU", "`faster-rcnn-scenes`의 상자: 가장 낮은 IoU", ">= 0.999"),
    ("export", "attend-scenes: other sentences", "`attend-scenes`, sentences that differ", "`attend-scenes`의 다른 문장 수", "0"),
    ("export", "dcgan-mnist: largest difference of pixels (of 0 to 1, before rounding)", "`dcgan-mnist`, its pixels (0 to 1, before rounding)", "`dcgan-mnist`의 화소 차이(0부터 1, 반올림 전)", "<= 0.0001"),
    ("export", "dqn-pong: largest difference of values (relative to those above 1)", "`dqn-pong`, its values (relative to those above 1)", "`dqn-pong`의 가치 차이(1보다 큰 값은 비율로)", "<= 0.0001"),
    ("serving", "gipi, 2 workers", "`gipi serve deepconvnet-mnist --workers 2`, 64 clients", "`gipi serve deepconvnet-mnist --workers 2`, 클라이언트 64개", ""),
    ("serving", "gipi, 2 workers, over LitServe", "over LitServe, the fastest of its settings", "LitServe의 가장 빠른 설정 대비", ">= 2 x"),
    ("serving", "gipi, 2 workers: p99", "its slowest answer in a hundred", "100개 가운데 가장 느린 응답", "<= 100 ms"),
    ("serving", "gipi, 1 worker, over LitServe", "one worker over LitServe", "작업자 하나, LitServe 대비", ""),
    ("serving", "gipi, 1 worker: p99", "its slowest answer in a hundred", "100개 가운데 가장 느린 응답", "<= 100 ms"),
    ("serving", "first answer", "first answer after the start", "시작에서 첫 응답까지", "<= 4 s"),
    ("abuse", "1 worker: bad requests treated wrongly", "1,000 bad requests amid good ones, treated wrongly", "정상 요청 사이의 잘못된 요청 1,000개 가운데 잘못 처리한 것", "0"),
    ("abuse", "1 worker: growth of memory", "memory grown by them", "그동안 늘어난 메모리", "<= 10 %"),
    ("quantised", "deepconvnet-mnist int8: loss", "`deepconvnet-mnist` in int8: accuracy lost", "`deepconvnet-mnist`의 int8: 잃은 정확도", "<= 0.1 points"),
    ("quantised", "deepconvnet-mnist int8: speed-up, batch 32, 2 threads", "over float32 in ONNX Runtime, batch 32", "ONNX Runtime의 float32 대비, 배치 32", ">= 1.5 x"),
    ("quantised", "resnet18-cifar10 int8: loss", "ResNet-18 on CIFAR-10 in int8: accuracy lost", "CIFAR-10의 ResNet-18, int8: 잃은 정확도", "<= 1 points"),
    ("quantised", "resnet18-cifar10 int8: speed-up, batch 32, 2 threads", "over float32, batch 32 of 32x32 pixels", "float32 대비, 32x32픽셀 배치 32", ">= 1.5 x"),
    ("quantised", "resnet18 224x224 int8: speed-up, batch 32, 2 threads", "the same at 224x224, random weights", "같은 것, 224x224, 무작위 가중치", ">= 1.5 x"),
    ("playground", "digits right of 10", "playground: ten digits drawn with the mouse, read right", "놀이터: 마우스로 그린 숫자 열 개 가운데 맞힌 수", ">= 9"),
    ("playground", "stroke to answer", "playground: from a stroke to answer and feature maps", "놀이터: 획에서 대답과 특징 맵까지", ""),
    ("detection_speed", "bccd: R-CNN: in all", "R-CNN, a 640x480 picture", "R-CNN, 640x480 사진 한 장", ""),
    ("detection_speed", "bccd: Fast R-CNN: in all", "Fast R-CNN", "Fast R-CNN", ""),
    ("detection_speed", "bccd: Faster R-CNN: in all", "Faster R-CNN", "Faster R-CNN", ""),
    ("proposals", "bccd: gipi, recall at IoU 0.5", "selective search, recall at IoU 0.5, BCCD", "선택적 탐색, IoU 0.5 재현율, BCCD", ">= 95 %"),
    ("proposals", "scenes: gipi, recall at IoU 0.5", "the same, `scenes`", "같은 것, `scenes`", ">= 95 %"),
    ("proposals", "bccd: gipi, processor time", "its time, BCCD", "그 시간, BCCD", "<= 2 x OpenCV's"),
    ("proposals", "bccd: OpenCV fast, 500 pixels, processor time", "OpenCV's fast mode", "OpenCV의 fast 모드", ""),
    ("boxes", "NMS of 2,000 scattered boxes", "non-maximum suppression of 2,000 boxes", "상자 2,000개의 비최대 억제(NMS)", "<= 15 ms"),
    ("boxes", "RoIAlign, float32", "RoIAlign of 512 regions, 200x304x256 map", "RoIAlign, 영역 512개, 200x304x256 맵", "<= 150 ms"),
    ("captioning", "attend-scenes: exact", "`attend-scenes`, sentences exactly right", "`attend-scenes`, 완전히 맞은 문장", ">= 95 %"),
    ("captioning", "attend-scenes: training", "its training", "그 학습", "<= 8 min"),
    ("captioning", "nic-flickr8k: bleu4", "Flickr8k: `nic-flickr8k`, BLEU-4", "Flickr8k: `nic-flickr8k` BLEU-4", ">= 17.7 %"),
    ("captioning", "nic-flickr8k: bleu1", "its BLEU-1", "그 BLEU-1", ">= 63 %"),
    ("captioning", "nic-flickr8k: cider", "its CIDEr-D", "그 CIDEr-D", ""),
    ("captioning", "nic-flickr8k: training", "its training", "그 학습", "<= 120 min"),
    ("captioning", "attend-flickr8k: bleu4", "Flickr8k: `attend-flickr8k`, BLEU-4", "Flickr8k: `attend-flickr8k` BLEU-4", ">= 21.3 %"),
    ("captioning", "attend-flickr8k: bleu1", "its BLEU-1", "그 BLEU-1", ""),
    ("captioning", "attend-flickr8k: cider", "its CIDEr-D", "그 CIDEr-D", ""),
    ("captioning", "attend-flickr8k: copies of a training caption", "its captions that copy one of the training word for word", "그 문장 가운데 학습 문장을 그대로 옮긴 것", ""),
    ("captioning", "attend-flickr8k: training", "its training", "그 학습", ""),
    ("captioning", "attend-flickr8k: BLEU-4 off sacrebleu's", "its BLEU-4's difference from sacrebleu's", "sacrebleu의 BLEU-4와의 차이", "0"),
    ("caption_speed", "NIC, fp32, beam 5", "captions from cached features, NIC, beam of 5, fp32", "저장해 둔 특징에서 문장 만들기, NIC, 빔 5, fp32", ">= 100 captions/s"),
    ("caption_speed", "attention, fp32, beam 5", "the same, a net that attends", "같은 것, 어텐션을 쓰는 신경망", ">= 100 captions/s"),
    ("generation", "dcgan-mnist: frechet", "`dcgan-mnist`, Fréchet distance of 10,000 images by the features of `deepconvnet-mnist`", "`dcgan-mnist`, `deepconvnet-mnist`의 특징으로 잰 이미지 10,000장의 프레셰 거리", ""),
    ("generation", "mnist, real images: frechet", "the same of real training images: the floor", "실제 학습 이미지의 같은 거리: 하한", ""),
    ("generation", "plain DCGAN, mnist: frechet", "the same of the paper's recipe in plain PyTorch, trained as long", "논문의 방식대로 평범한 PyTorch로 같은 시간 학습한 것의 같은 거리", ""),
    ("generation", "dcgan-mnist: frechet over the plain recipe's", "ours over that one's", "그것 대비 우리 거리", "<= 0.5 x"),
    ("generation", "dcgan-mnist: precision", "its precision", "그 정밀도", ""),
    ("generation", "dcgan-mnist: recall", "its recall", "그 재현율", ""),
    ("generation", "dcgan-mnist: confidence", "mean confidence of the classifier in its images", "그 이미지에 대한 분류기의 평균 확신도", ">= 95 %"),
    ("generation", "dcgan-mnist: least_class", "share of its rarest digit", "가장 드문 숫자의 비율", ">= 8 %"),
    ("generation", "dcgan-mnist: most_class", "share of its commonest digit", "가장 흔한 숫자의 비율", "<= 12 %"),
    ("generation", "dcgan-mnist: training", "its training", "그 학습", "<= 15 min"),
    ("generation", "dcgan-mnist: training speed", "its training speed", "그 학습 속도", ""),
    ("generation", "dcgan-mnist: training speed over the plain recipe's", "over the plain PyTorch's, by turns", "번갈아 잰 평범한 PyTorch 대비", ">= 1.5 x"),
    ("generation", "dcgan-mnist: as_asked", "its images that the classifier reads as asked for", "분류기가 요청한 숫자로 읽은 이미지", ""),
    ("generation", "dcgan-mnist: a DeepConvNet's accuracy", "DeepConvNet trained on 60,000 of its images alone, accuracy on the real MNIST", "그 이미지 60,000장만으로 학습한 DeepConvNet의 실제 MNIST 정확도", ">= 97 %"),
    ("generation", "mnist, real images: a DeepConvNet's accuracy", "the same training on the 60,000 real images", "실제 이미지 60,000장으로 한 같은 학습", ""),
    ("generation", "dcgan-mnist-unlabelled: frechet", "`dcgan-mnist-unlabelled`, which is not told the classes, Fréchet distance", "클래스를 알려 주지 않은 `dcgan-mnist-unlabelled`의 프레셰 거리", ""),
    ("generation", "dcgan-mnist-unlabelled: frechet over the plain recipe's", "over the plain recipe's", "평범한 방식 대비", "<= 0.5 x"),
    ("generation", "dcgan-mnist-unlabelled: least_class", "share of its rarest digit", "가장 드문 숫자의 비율", ">= 8 %"),
    ("generation", "dcgan-mnist-unlabelled: most_class", "share of its commonest digit", "가장 흔한 숫자의 비율", "<= 12 %"),
    ("generation", "dcgan-fashion: frechet", "`dcgan-fashion`, Fréchet distance by the features of `digitnet-fashion`", "`dcgan-fashion`, `digitnet-fashion`의 특징으로 잰 프레셰 거리", ""),
    ("generation", "fashion-mnist, real images: frechet", "the same of real training images: the floor", "실제 학습 이미지의 같은 거리: 하한", ""),
    ("generation", "dcgan-fashion: least_class", "share of its rarest class", "가장 드문 클래스의 비율", ""),
    ("generation", "dcgan-fashion: most_class", "share of its commonest class", "가장 흔한 클래스의 비율", ""),
    ("generation", "dcgan-fashion: a DeepConvNet's accuracy", "DeepConvNet trained on 60,000 of its images alone, accuracy on the real Fashion-MNIST", "그 이미지 60,000장만으로 학습한 DeepConvNet의 실제 Fashion-MNIST 정확도", ">= 80 %"),
    ("generation", "fashion-mnist, real images: a DeepConvNet's accuracy", "the same training on the 60,000 real images", "실제 이미지 60,000장으로 한 같은 학습", ""),
    ("generation_speed", "fp32, 2 threads, batch 256", "images of noise, `dcgan-mnist`, 2 threads, fp32", "잡음에서 이미지 만들기, `dcgan-mnist`, 스레드 2개, fp32", ">= 2,000 images/s"),
    ("generation_speed", "bf16, 2 threads, batch 256", "the same, bf16", "같은 것, bf16", ">= 2,000 images/s"),
    ("inference", "resnet18, batch 1, gipi over ONNX Runtime, fp32", "ResNet-18 inference, batch 1, over ONNX Runtime fp32", "ResNet-18 추론, 배치 1, ONNX Runtime fp32 대비", ">= 4 x with AMX"),
    ("inference", "resnet50, batch 1, gipi over ONNX Runtime, fp32", "ResNet-50 inference, batch 1, over ONNX Runtime fp32", "ResNet-50 추론, 배치 1, ONNX Runtime fp32 대비", ">= 4 x with AMX"),
    ("inference", "resnet50, batch 32, gipi over ONNX Runtime, fp32", "the same, batch 32", "같은 것, 배치 32", ">= 4 x with AMX"),
    ("inference", "resnet50, gipi: same answer as PyTorch", "same answer as PyTorch", "PyTorch와 같은 답", ">= 99.9 %"),
    ("deterministic", "share of the speed that is left", "speed with `--deterministic`", "`--deterministic`일 때의 속도", ""),
    ("acting", "dqn-catch: return", "`dqn-catch`, mean return; the highest is 1", "`dqn-catch` 평균 점수, 최고는 1", ">= 0.98"),
    ("acting", "dqn-catch: training", "its training", "그 학습", "<= 2 min"),
    ("acting", "dqn-catch: random play", "random play", "무작위로 했을 때", ""),
    ("acting", "dqn-cartpole: return", "`dqn-cartpole`, mean return within 50,000 decisions; the highest is 500", "`dqn-cartpole`, 결정 50,000번 안의 평균 점수, 최고는 500", ">= 495"),
    ("acting", "dqn-cartpole: training", "its training", "그 학습", "<= 2 min"),
    ("acting", "dqn-cartpole: random play", "random play", "무작위로 했을 때", ""),
    ("acting", "dqn-pong: return", "`dqn-pong`, mean return of 30 episodes; the highest is 21", "`dqn-pong`, 30판의 평균 점수, 최고는 21", ">= 18"),
    ("acting", "dqn-pong: return, 1 % random", "the same with 1 % random decisions in place of 5", "무작위 결정을 5%가 아니라 1% 섞었을 때", ">= 18"),
    ("acting", "dqn-pong: training", "its training, one core, beside other work", "그 학습, 코어 하나, 다른 작업과 함께", "<= 180 min"),
    ("acting", "dqn-pong: random play", "random play", "무작위로 했을 때", ""),
    ("acting", "dqn-pong: published, DQN", "published: DQN after 50,000,000 decisions", "발표된 값: 결정 50,000,000번 뒤의 DQN", ""),
    ("acting", "dqn-pong: published, human", "published: a human", "발표된 값: 사람", ""),
    ("acting_speed", "gipi in fp32 over Stable-Baselines3", "decisions with learning at Pong, over Stable-Baselines3, fp32", "Pong에서 배우며 하는 결정의 속도, Stable-Baselines3 대비, fp32", ">= 2 x"),
    ("acting_speed", "gipi in bf16 over Stable-Baselines3", "the same, bf16", "같은 것, bf16", ">= 2 x"),
    ("acting_speed", "sampling of 32 x (4+1) x 84x84", "drawing 32 transitions of five frames from the replay", "리플레이에서 프레임 다섯 장짜리 32개 뽑기", "<= 0.3 ms"),
    ("startup", "gipi --help", "`gipi --help`", "`gipi --help`", "<= 0.3 s"),
    ("startup", "gipi list", "`gipi list`", "`gipi list`", "<= 0.3 s"),
    ("startup", "gipi predict, one image, cold", "`gipi predict`, one picture, cold", "`gipi predict` 그림 한 장, 첫 실행", "<= 2.5 s"),
    ("startup", "peak memory of MNIST training", "peak memory of MNIST training", "MNIST 학습의 최대 메모리", "<= 1.2 GiB"),
)  # fmt: skip
DIGITS = {
    "": 6, "%": 2, "% of all": 2, "of 10": 3, "s": 2, "s/image": 2, "min": 1, "ms": 1, "x": 1, "images/s": 0, "captions/s": 0,
    "frames/s": 2, "points": 4, "GiB": 2, "FD": 2, "digits": 0, "requests/s": 0, "requests": 0, "MiB": 0,
}  # fmt: skip


def table(page: str) -> str:
    korean = page == "README.ko.md"
    head = HEADS[page]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for bench, name, english, other, target in LINES:
        if not (RESULTS / f"{bench}.json").exists():
            continue
        results = read(bench)
        found = [row for row in results["results"] if row["name"] == name]
        if not found:
            continue
        row, digits = found[0], DIGITS[found[0]["unit"]]
        digits += 2 * (row["unit"] == "x" and row["value"] < 0.1)
        value = f"{row['value']:,.{digits}f}" + (f" ± {row['spread']:.{digits}f}" if "spread" in row else "")
        note = f"; {row['note']}" if "seeds reached" in row["note"] else ""
        spread = f"{row['low']:,.{digits}f} to {row['high']:,.{digits}f}, n={row['n']}{note}" if row["n"] > 1 else ""
        hardware = row.get("hardware", results["hardware"])
        lines.append(f"| {other if korean else english} | {value} {row['unit']} | {spread} | {target} | {hardware} |")
    return "\n".join(lines)


def main() -> None:
    check = "--check" in sys.argv
    for page in HEADS:
        path = ROOT / page
        text = path.read_text(encoding="utf-8")
        new = re.sub(
            r"(<!-- results -->\n).*?(\n<!-- end -->)",
            lambda m, page=page: m[1] + table(page) + m[2],
            text,
            flags=re.DOTALL,
        )
        if check and new != text:
            sys.exit(f"{page} is not what bench/results say: run python bench/tables.py")
        path.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
